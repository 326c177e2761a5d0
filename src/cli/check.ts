import type { Config, HandlerConfig } from '../config/config.ts';
import { type Mistake, mistakeLine } from '../config/mistakes.ts';
import { effectiveUrl } from '../config/pool.ts';
import { createMask, withoutSecrets } from '../config/secrets.ts';
import { effectiveSections } from './effective-sections.ts';
import { tomlSection } from './toml-text.ts';

const columns = 100;

/** What `check` prints: the effective configuration as TOML, where each handler's requests go, and the notices. No secrets. */
export function renderCheck(config: Config): string {
  const sections = effectiveSections(config).map((section) => tomlSection(section, columns));
  const blocks = [`# ${config.file}`, ...sections, handlerTable(config), noticeList(config.notices)];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

/** Every mistake on its own lines, for people. */
export function renderMistakes(mistakes: readonly Mistake[]): string {
  return mistakes.map((mistake) => `${hang(mistakeLine(mistake))}\n`).join('');
}

/** The same as {@link renderCheck} for programs: durations in ms, sizes in bytes, no secrets. */
export function checkAsJson(config: Config): Readonly<Record<string, unknown>> {
  const { redacted, pools, handlers, ...rest } = config;
  const whole = {
    ...rest,
    pools: pools.map(({ tls, ...pool }) => ({
      ...pool,
      tls: { ...tls, ca: tls.ca && '[read]', cert: tls.cert && '[read]', key: tls.key && '[redacted]' },
    })),
    handlers: handlers.map((handler) => {
      const [askUrl] = questionUrl(handler, config);
      return { ...handler, method: 'POST', url: urlOf(handler, config), ...(askUrl === undefined ? {} : { askUrl }) };
    }),
  };
  return withoutSecrets(whole, createMask(redacted));
}

function handlerTable(config: Config): string {
  const mask = createMask(config.redacted);
  const rows = config.handlers.flatMap((handler) => [
    ...questionUrl(handler, config).map((url) => ({ name: `${handler.name}, asked first`, url: mask(url), orders: '' })),
    { name: handler.name, url: mask(urlOf(handler, config)), orders: mask(ordersOf(handler)) },
  ]);
  if (rows.length === 0) return '';

  const width = Math.max(...rows.map(({ name }) => name.length), 'handler'.length);
  const lines = rows.map(({ name, url, orders }) => `  ${name.padEnd(width)}  POST ${url}${orders}`);
  const narrow = lines.every((line) => line.length <= columns);
  const shown = narrow ? lines : rows.map(({ name, url, orders }) => `  ${name}\n    POST ${url}${orders}`);
  return ['Requests go to:', ...shown].join('\n');
}

/** Where else its backend may order requests to. */
function ordersOf({ followUp }: HandlerConfig): string {
  return followUp === undefined ? '' : `, and what it orders to ${followUp.allow.join(', ')}`;
}

function urlOf(handler: HandlerConfig, { pools }: Config): string {
  const pool = pools.find(({ id }) => id === handler.pool);
  return pool === undefined ? handler.requestPath : effectiveUrl(pool, handler);
}

/** Where a handler asks before it pushes; empty where it asks nobody. */
function questionUrl({ beforePush }: HandlerConfig, { pools }: Config): readonly string[] {
  const pool = pools.find(({ id }) => id === beforePush?.pool);
  return beforePush === undefined || pool === undefined ? [] : [effectiveUrl(pool, beforePush)];
}

function noticeList(notices: readonly string[]): string {
  return notices.length === 0 ? '' : ['Notices:', ...notices.map(hang)].join('\n');
}

/** A list item whose lines after the first are indented, broken between words. */
function hang(text: string): string {
  const lines: string[] = [];
  let line = '  -';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > columns && line.trim() !== '-') {
      lines.push(line);
      line = '   ';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}
