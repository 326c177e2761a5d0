import { access } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { load } from '../config/write-config.ts';
import { guides, readGuide, readPage } from '../support/guide.ts';

const secrets = { SHOP_PASSWORD: 'pw', BOT_PASSWORD: 'a password', GATE_TOKEN: 'a token', PUSHER_SECRET: 'a secret' };

/** Whether the name ends in a hash of pool, path and module: another path would make it another handler, without its backlog. */
function isAutoNamed({ name }: { readonly name: string }): boolean {
  return /-[0-9a-f]{8}$/.test(name);
}

test('the tables of guarantees have the same rows in the same order', () => {
  const promised = guides.map((name) =>
    readGuide(name)
      .rows('')
      .map(([row]) => row),
  );
  expect(promised[0]).toHaveLength(13);
  for (const rows of promised) expect(rows).toEqual(promised[0]);
});

describe.each(guides)('the page %s', (name) => {
  const guide = readGuide(name);

  test('shows configurations that load without notices', async () => {
    const shown = guide.blocks('toml').filter((block) => block.includes('[attach.'));
    expect(shown.length).toBeGreaterThan(0);
    for (const block of shown) {
      const config = await load(block, { env: secrets });
      expect(config.attachments, block).toHaveLength(1);
      expect(config.handlers.filter(isAutoNamed), block).toEqual([]);
      if (block.includes('backend.http]')) expect(config.notices, block).toEqual([]);
    }
  });

  test('shows the same backend as the other pages', () => {
    expect(guide.block('sh', 'createServer')).toBe(readGuide('prosody').block('sh', 'createServer'));
  });

  test('describes the installation of the unpublished package, and does not mention signatures', () => {
    expect(guide.block('sh', 'npm pack')).toBe('npm ci && npm pack\nsudo npm install --global ./xmpp-event-pusher-*.tgz\n');
    expect(guide.text).not.toMatch(/npm install (?!--global \.\/)|signature/);
  });

  test('links only to existing files', async () => {
    const links = [...guide.text.matchAll(/\]\(([^)#]+)/g)].map(([, link = '']) => link).filter((link) => !link.startsWith('http'));
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) await access(new URL(`../../docs/guides/${link}`, import.meta.url));
  });
});

describe('every other configuration shown loads too', () => {
  test.each(['prosody', 'ejabberd'])('in plugins/%s', async (server) => {
    const shown = readPage(`plugins/${server}/README.md`).blocks('toml');
    for (const block of shown.filter((text) => /^\[(gate|general)\]/.test(text))) await load(block, { env: secrets });
  });

  test.each([
    ['README.md', 0],
    ['docs/guides/before-push.md', 1],
    ['docs/guides/callback-modules.md', 1],
    ['docs/guides/exits.md', 1],
    ['docs/guides/follow-up.md', 1],
    ['docs/guides/gate.md', 1],
    ['docs/guides/rooms.md', 1],
    ['docs/reference/rules.md', 1],
  ])('in %s, added to the configuration of the README or in place of its handlers', async (name, least) => {
    const readme = readPage('README.md');
    const whole = readme.block('toml', '[attach.');
    const [before = ''] = whole.split(/^\[{1,2}modules\./m);
    const others = readPage(name)
      .blocks('toml')
      .filter((block) => block !== whole && !block.includes('"order"')); // the test of porting loads that one, with its modules
    expect(others.length).toBeGreaterThanOrEqual(least);
    for (const text of [whole, ...others.map((more) => (more.startsWith('[[modules.') ? before : whole) + more)]) {
      const config = await load(text, { env: secrets, files: { 'callbacks/commands.mjs': readme.block('js', 'defineCallbacks') } });
      expect(config.handlers.length, text).toBeGreaterThan(0);
      expect(config.handlers.filter(isAutoNamed), text).toEqual([]);
      expect(config.notices, text).toEqual([]);
    }
  });
});
