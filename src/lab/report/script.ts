/**
 * The page's script: names the values of all curves under the pointer. The page is complete without it. It makes text with textContent alone, so that no
 * name can become markup.
 */
export const script = `'use strict';
const { plot, width, axes, charts } = JSON.parse(document.getElementById('curves').textContent);
const svgNs = document.documentElement.ownerDocument.querySelector('svg').namespaceURI;
const suffixes = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
function si(value) {
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < suffixes.length - 1) { value /= 1000; unit++; }
  return (unit === 0 ? String(Math.round(value * 10) / 10) : value.toPrecision(3)) + suffixes[unit];
}
const units = { tokens: ' tokens', flops: 'FLOP', seconds: ' s' };
for (const svg of document.querySelectorAll('svg[data-chart]')) {
  const lines = charts[svg.dataset.chart];
  const axis = axes.indexOf(svg.dataset.axis);
  const frame = JSON.parse(svg.dataset.frame);
  const figure = svg.closest('figure');
  const tip = figure.querySelector('.tip');
  const guide = document.createElementNS(svgNs, 'path');
  guide.setAttribute('class', 'guide');
  svg.append(guide);
  function show(event) {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * width;
    const share = Math.min(1, Math.max(0, (at - plot.left) / (plot.right - plot.left)));
    const wanted = frame.x[0] + share * (frame.x[1] - frame.x[0]);
    const near = lines.map((line) => line.points.reduce((best, p) => Math.abs(p[axis] - wanted) < Math.abs(best[axis] - wanted) ? p : best, line.points[0]));
    const rows = lines.map((line, i) => ({ line, p: near[i] })).filter(({ p }) => p);
    if (rows.length === 0) return;
    tip.replaceChildren(...rows.map(({ line, p }) => {
      const row = document.createElement('div');
      const name = document.createElement('b');
      name.className = 's' + (line.index % 8);
      name.textContent = line.name;
      const spread = p[axes.length + 1] === null ? '' : ' \\u00b1 ' + (p[axes.length + 2] - p[axes.length]).toFixed(3);
      row.append(name, ' ' + p[axes.length].toFixed(3) + spread + ' at ' + si(p[axis]) + units[svg.dataset.axis]);
      return row;
    }));
    tip.hidden = false;
    const place = figure.getBoundingClientRect();
    const x = event.clientX - place.left;
    tip.style.left = Math.max(0, Math.min(x + 14, place.width - tip.offsetWidth)) + 'px';
    tip.style.top = (box.top - place.top + 8) + 'px';
    guide.setAttribute('d', 'M' + (plot.left + share * (plot.right - plot.left)) + ' ' + plot.top + 'V' + plot.bottom);
  }
  function hide() { tip.hidden = true; guide.removeAttribute('d'); }
  svg.addEventListener('pointermove', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', hide);
}
`;
