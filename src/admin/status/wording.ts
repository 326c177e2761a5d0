/** Times, counts and rates as short texts: in the verdict, on the dashboard's first line, and in the terminal. */

/** `0.4 s`, `18 s`, `4 min`, `9 h`, `3 d`. Rounded down, so that a deadline is never stated too late. */
export function span(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 120) return `${Math.floor(minutes)} min`;
  const hours = minutes / 60;
  return hours < 72 ? `${Math.floor(hours)} h` : `${Math.floor(hours / 24)} d`;
}

/** `12 300`, with no-break spaces. */
export function amount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, '\u{a0}');
}

/** `214/s`, `0.4/s`. */
export function perSecond(rate: number): string {
  if (rate === 0) return '0/s';
  return rate < 10 ? `${Math.max(0.1, rate).toFixed(1)}/s` : `${amount(rate)}/s`;
}

/** `12 %`; what is not nothing is at least 1 %, and what is not everything at most 99 %. */
export function percent(share: number): string {
  if (share <= 0 || share >= 1) return share <= 0 ? '0 %' : '100 %';
  return `${Math.min(99, Math.max(1, Math.round(share * 100)))} %`;
}

/** `1 dead letter`, `2 dead letters`. */
export function number(count: number, one: string, many = `${one}s`): string {
  return `${amount(count)} ${count === 1 ? one : many}`;
}
