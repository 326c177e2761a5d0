/** Preact with tagged templates: `html` makes elements. Text is always inserted as text, so foreign content cannot become markup. */
import htm from './vendor/htm.js';
import { h } from './vendor/preact.js';

export { useEffect, useLayoutEffect, useMemo, useRef, useState } from './vendor/hooks.js';
export { render } from './vendor/preact.js';

/** @type {(strings: TemplateStringsArray, ...values: unknown[]) => import('preact').VNode} */
export const html = /** @type {any} */ (htm.bind(/** @type {any} */ (h)));
