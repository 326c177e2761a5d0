import { access } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { load } from '../config/write-config.ts';
import { guides, readGuide } from '../support/guide.ts';

const secrets = { PUSHER_SECRET: 'a secret', BOT_PASSWORD: 'a password' };

test('the pages promise, or do not, the same things in the same order', () => {
  const promised = guides.map((name) =>
    readGuide(name)
      .rows('')
      .map(([row]) => row),
  );
  expect(promised[0]).toHaveLength(11);
  for (const rows of promised) expect(rows).toEqual(promised[0]);
});

describe.each(guides)('the page %s', (name) => {
  const guide = readGuide(name);

  test('shows configurations that load, with nothing to remark', async () => {
    const shown = guide.blocks('toml').filter((block) => block.includes('[attach.'));
    expect(shown.length).toBeGreaterThan(0);
    for (const block of shown) {
      const config = await load(block, { env: secrets });
      expect(config.attachments, block).toHaveLength(1);
      if (block.includes('backend.http]')) expect(config.notices, block).toEqual([]);
    }
  });

  test('shows the same backend as the others', () => {
    expect(guide.block('sh', 'createServer')).toBe(readGuide('prosody').block('sh', 'createServer'));
  });

  test('leads only to what is there', async () => {
    const links = [...guide.text.matchAll(/\]\(([^)#]+)/g)].map(([, link = '']) => link).filter((link) => !link.startsWith('http'));
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) await access(new URL(`../../guides/${link}`, import.meta.url));
  });
});
