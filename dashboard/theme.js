/** Light, dark, or as the system is set. The choice is kept in this browser. */

const key = 'event-pusher colours';
const themes = ['system', 'light', 'dark'];

/** Applies the stored choice and returns it. */
export function applyTheme() {
  return show(stored());
}

/** Applies the next choice and returns it. */
export function nextTheme() {
  const next = themes[(themes.indexOf(stored()) + 1) % themes.length] ?? 'system';
  try {
    localStorage.setItem(key, next);
  } catch {
    document.documentElement.dataset['theme'] = next; // storage may be forbidden; the choice then lasts as long as the page
  }
  return show(next);
}

function stored() {
  try {
    const theme = localStorage.getItem(key) ?? 'system';
    return themes.includes(theme) ? theme : 'system';
  } catch {
    return document.documentElement.dataset['theme'] ?? 'system';
  }
}

/** @param {string} theme */
function show(theme) {
  const { dataset } = document.documentElement;
  if (dataset['theme'] !== theme) dataset['theme'] = theme;
  return theme;
}
