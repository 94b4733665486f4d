import type { Knob } from '../../contracts/index.js';
import type { CompareSummary } from '../compare.js';
import { findMethod, type Recipe } from '../recipe.js';
import { type Content, type Html, html } from './html.js';

const knobText = (value: Knob): string => (Array.isArray(value) ? value.join(', ') : String(value));

/** Settings of a slot over all recipes, in the order in which they first appear. */
const settingNames = (recipes: readonly Recipe[], slot: string): string[] => [
  ...new Set(recipes.flatMap((r) => Object.keys(r[slot]?.settings ?? {}))),
];

/** One line of the table: the value of every recipe, those that differ from the first marked. */
function line(label: Content, values: readonly (string | undefined)[], isGroup: boolean): Html {
  const cells = values.map((v, i) => {
    const changed = i > 0 && v !== values[0];
    return html`<td class="${changed ? 'changed' : ''}">${v ?? html`<span class="key">\u2013</span>`}${changed && html`<span class="key"> *</span>`}</td>`;
  });
  return html`<tr class="${isGroup ? 'group' : ''}"><th scope="row" class="${isGroup ? '' : 'key sub'}">${label}</th>${cells}</tr>`;
}

/** The whole recipe of every method: the method of each slot and all its settings. */
export function recipeSection({ rows, baseline }: CompareSummary): Html {
  const recipes = rows.map((r) => r.recipe);
  const slots = [...new Set(recipes.flatMap((r) => Object.keys(r)))];
  const body = slots.map((slot) => [
    line(
      slot,
      recipes.map((r) => r[slot]?.method),
      true,
    ),
    settingNames(recipes, slot).map((name) =>
      line(
        name,
        recipes.map((r) => {
          const value = r[slot]?.settings[name];
          return value === undefined ? undefined : knobText(value);
        }),
        false,
      ),
    ),
  ]);
  return html`<section><h2>Recipes</h2><p class="note">The method of every slot with all its settings. What differs from ${baseline} is shaded and starred; \u2013: the method has no such setting.</p>
<div class="wide" tabindex="0" role="region" aria-label="Recipes"><table><thead><tr><th scope="col">slot</th>${rows.map((r) => html`<th scope="col">${r.method}</th>`)}</tr></thead><tbody>${body}</tbody></table></div></section>`;
}

/** The methods by which the rows differ, each with its formula and source. */
export function methodsSection({ rows }: CompareSummary): Html | undefined {
  const slots = [...new Set(rows.flatMap((r) => Object.keys(r.recipe)))];
  const differing = slots.filter((slot) => new Set(rows.map((r) => r.recipe[slot]?.method)).size > 1);
  const ids = [...new Set(differing.flatMap((slot) => rows.flatMap((r) => r.recipe[slot]?.method ?? [])))];
  const known = ids.flatMap((id) => {
    try {
      return [findMethod(id)];
    } catch {
      // the result of another version, which had a method of this name
      return [];
    }
  });
  if (known.length === 0) return undefined;
  return html`<section><h2>Methods</h2>${known.map(
    ({ slot, method }) => html`<h3>${method.id} <span class="key">(${slot.id}${method.parent && `, changes ${method.parent}`})</span></h3>
<p>${method.summary}</p><pre>${method.equation}</pre><p class="note">Source: ${method.paper.replace(/^https?:\/\//, '')}${method.assumes.length > 0 && `. Chosen by the implementation: ${method.assumes.join('; ')}`}</p>`,
  )}</section>`;
}
