/** Numbers and times as short texts. */

/** `0.4 s`, `18 s`, `4 min`, `9 h`, `3 d`, rounded down. @param {number} ms */
export function span(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 120) return `${Math.floor(minutes)} min`;
  const hours = minutes / 60;
  return hours < 72 ? `${Math.floor(hours)} h` : `${Math.floor(hours / 24)} d`;
}

/** `4 min ago`. @param {string} instant RFC 3339 @param {number} now */
export function ago(instant, now) {
  const ms = now - Date.parse(instant);
  return ms < 1000 ? 'now' : `${span(ms)} ago`;
}

/** `12 300`, with no-break spaces. @param {number} count */
export function amount(count) {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, '\u{a0}');
}

/** `214`, `0.4`. @param {number} rate per second */
export function rate(rate) {
  if (rate === 0) return '0';
  return rate < 10 ? Math.max(0.1, rate).toFixed(1) : amount(rate);
}

/** What is not nothing is more than 0 %, and what is not everything at most 99 %. @param {number} share */
export function percent(share) {
  if (share <= 0 || share >= 1) return share <= 0 ? '0 %' : '100 %';
  return share < 0.01 ? '< 1 %' : `${Math.min(99, Math.round(share * 100))} %`;
}

/** `1 delivery`, `2 deliveries`. @param {number} count @param {string} one @param {string} [many] */
export function number(count, one, many = `${one}s`) {
  return `${amount(count)} ${count === 1 ? one : many}`;
}

/** @param {number} count */
export function bytes(count) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const unit = Math.min(units.length - 1, count < 1000 ? 0 : Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** unit;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Local date and time. @param {string} instant RFC 3339 */
export function clock(instant) {
  const at = new Date(instant);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? at.toLocaleTimeString([], { hour12: false }) : at.toLocaleString([], { hour12: false });
}

/** Text from users, servers or backends: control and direction characters are shown as a mark, and its length is bounded. @param {string} text @param {number} [most] */
export function foreign(text, most = 400) {
  const plain = text.slice(0, most).replace(/[\p{Cc}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{2069}\u{feff}]/gu, '\u{fffd}');
  return text.length > most ? `${plain}…` : plain;
}
