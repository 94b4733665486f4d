/** Colours of methods: the baseline grey, then hues that stay apart for colour-blind readers (after Okabe and Ito), lighter on a dark page. */
const palette = {
  light: ['#667080', '#0072b2', '#d55e00', '#00855f', '#aa4499', '#8a6d00', '#3d9bd4', '#222222'],
  dark: ['#a3adbb', '#56b4e9', '#ff9147', '#35cf9f', '#e58ac0', '#e6c229', '#9db7ff', '#eeeeee'],
} as const;

const variables = (colours: readonly string[], rest: string): string => `${colours.map((c, i) => `--s${i}:${c}`).join(';')};${rest}`;

const light = variables(
  palette.light,
  '--page:#fff;--ink:#1c2026;--soft:#5a6270;--rule:#d9dde3;--grid:#e9ecf0;--zone:#f0f2f5;--mark:#fff4d6;--gain:#00694b;--loss:#a83a00',
);
const dark = variables(
  palette.dark,
  '--page:#14171c;--ink:#e8eaee;--soft:#a3abb8;--rule:#353b45;--grid:#262b33;--zone:#20252d;--mark:#3a3116;--gain:#4fd6a8;--loss:#ff9d66',
);

const seriesRules = palette.light.map((_, i) => `.s${i}{--c:var(--s${i})}`).join('');

/** Which of a chart's variants is shown: the checked axis and range. Without script, and in print too. */
const variantRules = ['tokens', 'flops', 'seconds']
  .flatMap((axis) => ['all', 'late'].map((range) => `#axis-${axis}:checked~#range-${range}:checked~.figures .x-${axis}.r-${range}`))
  .join(',');

/** The page's style sheet. */
export const style = `
:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}
@media print{:root{color-scheme:light;${light}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:17px/1.55 Charter,"Bitstream Charter","Source Serif 4",Cambria,Georgia,serif}
main{max-width:1040px;margin:0 auto;padding:2.2rem 1.25rem 4rem}
h1{font-size:2rem;line-height:1.2;margin:.2rem 0 .8rem;font-weight:600;overflow-wrap:anywhere}
h2{font-size:1.3rem;line-height:1.3;margin:2.8rem 0 .6rem;font-weight:600}
h3{font-size:1rem;margin:1.4rem 0 .4rem;font-weight:600;overflow-wrap:anywhere}
p{margin:.5rem 0;max-width:46rem}
.lead{font-size:1.15rem}
.eyebrow,.facts,.note,figcaption,table,svg,.controls,.legend,.tip,dl{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
.eyebrow{color:var(--soft);font-size:.85rem;margin:0}
.facts{color:var(--soft);font-size:.88rem}
.note,figcaption{color:var(--soft);font-size:.85rem;line-height:1.45;max-width:52rem}
ul.note{padding-left:1.1rem;margin:.6rem 0}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.85em;overflow-wrap:anywhere}
pre{background:var(--zone);padding:.8rem 1rem;border-radius:4px;white-space:pre-wrap}
a{color:inherit;text-underline-offset:2px}
.wide{overflow-x:auto}
.wide:focus-visible{outline:2px solid var(--s1);outline-offset:2px}
table{border-collapse:collapse;font-size:.88rem;line-height:1.35;font-variant-numeric:tabular-nums;border-top:2px solid var(--ink);border-bottom:2px solid var(--ink);min-width:min(100%,38rem)}
table.full{min-width:100%}
th,td{padding:.42rem 0 .42rem 1.6rem;text-align:right;vertical-align:top;white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:.2rem}
th:last-child,td:last-child{padding-right:.3rem}
thead th{border-bottom:1px solid var(--ink);font-weight:600;vertical-align:bottom}
thead small,td small{display:block;font-weight:400;color:var(--soft);font-size:.92em}
tbody th{font-weight:600}
tbody tr+tr>*{border-top:1px solid var(--grid)}
tbody tr.group>*{border-top:1px solid var(--rule)}
table.text td,table.text th{white-space:normal;overflow-wrap:anywhere;text-align:left}
td.changed{background:var(--mark);font-weight:600}
.wide th.sub{padding-left:1.1rem}
.key{color:var(--soft);font-weight:400}
.gain{color:var(--gain);font-weight:600}
.loss{color:var(--loss);font-weight:600}
.swatch{width:26px;height:12px;margin-right:.45rem;vertical-align:-1px;display:inline-block}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:1.2rem 2rem;margin-top:.8rem}
figure{margin:0;position:relative;min-width:0}
figure h3{margin:.2rem 0 .3rem}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-size:12.5px;fill:var(--soft)}
.ticks.y text{text-anchor:end}
.ticks.x text,.axis-title{text-anchor:middle}
.ticks.name text{fill:var(--ink);font-weight:600}
.axis-title{fill:var(--ink)}
.side.end{text-anchor:end}
.grid path{stroke:var(--grid);fill:none}
.axis,.ticks path{stroke:var(--soft);fill:none}
${seriesRules}
.line,.raw,.bridge,.whisker,.mean{fill:none;stroke:var(--c)}
.line{stroke-width:2;stroke-linejoin:round}
.raw{stroke-width:1;opacity:.3}
.bridge{stroke-width:1.5;stroke-dasharray:2 4}
.second-lap .line{stroke-dasharray:7 4}
.band{fill:var(--c);opacity:.16;stroke:none}
.mark{fill:var(--c);stroke:var(--page);stroke-width:1}
.whisker{stroke-width:1.6}
.mean{stroke-width:3}
.join{fill:none;stroke:var(--soft);opacity:.4}
.zero{stroke:var(--ink)}
.zone{fill:var(--zone)}
.verdict-label{fill:var(--ink)}
.variants>svg{display:none}
${variantRules}{display:block}
.switch{position:absolute;opacity:0;width:1px;height:1px}
.controls{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;font-size:.88rem;margin:.8rem 0 .2rem}
.controls span{display:inline-flex;flex-wrap:wrap;align-items:baseline;gap:.15rem .25rem;color:var(--soft)}
.controls label{cursor:pointer;padding:.1rem .5rem;border-radius:3px;color:var(--ink)}
${['axis-tokens', 'axis-flops', 'axis-seconds', 'range-all', 'range-late'].map((id) => `#${id}:checked~.controls [for=${id}]`).join(',')}{background:var(--ink);color:var(--page)}
${['axis-tokens', 'axis-flops', 'axis-seconds', 'range-all', 'range-late'].map((id) => `#${id}:focus-visible~.controls [for=${id}]`).join(',')}{outline:2px solid var(--s1);outline-offset:1px}
.legend li{overflow-wrap:anywhere}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;font-size:.88rem;padding:0;margin:.5rem 0 0;list-style:none}
.guide{stroke:var(--soft);stroke-dasharray:3 3}
.tip{position:absolute;pointer-events:none;background:var(--page);border:1px solid var(--rule);border-radius:4px;padding:.3rem .55rem;font-size:.8rem;line-height:1.4;font-variant-numeric:tabular-nums;max-width:100%;overflow-wrap:anywhere;z-index:1}
.tip[hidden]{display:none}
.tip b{color:var(--c)}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.25rem 1.2rem;font-size:.88rem;margin:.6rem 0}
dt{color:var(--soft);overflow-wrap:anywhere}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
footer{margin-top:3rem;border-top:1px solid var(--rule);padding-top:.8rem}
@media (max-width:560px){body{font-size:16px}h1{font-size:1.6rem}main{padding-top:1.2rem}dl{grid-template-columns:minmax(0,44%) 1fr;gap:.3rem .8rem}th,td{padding-left:1rem}.wide th:first-child{white-space:normal;min-width:6.6rem;max-width:9.5rem;position:sticky;left:0;background:var(--page)}svg text{font-size:14px}}
@media print{.controls,.tip{display:none}main{max-width:none;padding:0}figure,tr,pre{break-inside:avoid}h2,h3{break-after:avoid}body{font-size:11pt}}
`;
