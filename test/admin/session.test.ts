import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { Principals } from '../../src/admin/principals.ts';
import { Sessions } from '../../src/admin/session.ts';
import type { AccessToken } from '../../src/config/service-config.ts';
import { Secret } from '../../src/kit/secret.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const reader = { name: 'night', role: 'read', content: false, hash: createHash('sha256').update('moon').digest('hex') } as const;

function startSessions({ token = 'sesame', tokens = [reader] }: { token?: string | undefined; tokens?: readonly AccessToken[] } = {}) {
  const clock = createFakeClock();
  const principals = new Principals({ token: token === '' ? undefined : new Secret(token), tokens });
  const sessions = new Sessions({ principals, clock, port: 9464 });
  return { clock, sessions, isOpen: (cookie: string | undefined) => sessions.find(cookie) !== undefined };
}

function cookieIn(header: string | undefined): string {
  return header?.split(';')[0] ?? '';
}

test('the token opens a session that no script can read and no other site can use', () => {
  const { sessions, isOpen } = startSessions();
  expect(sessions.open('sesam', { secure: false })).toBeUndefined();
  const header = sessions.open('sesame', { secure: true });
  expect(header).toMatch(/^event_pusher_9464=\d+\.[\w-]{43}\.; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure$/);
  expect(header).not.toContain('sesame');
  expect(isOpen(`other=1; ${cookieIn(header)}; more=2`)).toBe(true);
});

test('a session ends after twelve hours, survives a restart, and ends with its token', () => {
  const { clock, sessions, isOpen } = startSessions();
  const cookie = cookieIn(sessions.open('sesame', { secure: false }));
  expect(startSessions().isOpen(cookie)).toBe(true);
  expect(startSessions({ token: 'another' }).isOpen(cookie)).toBe(false);
  clock.advance(12 * 3_600_000 - 1000);
  expect(isOpen(cookie)).toBe(true);
  clock.advance(1000);
  expect(isOpen(cookie)).toBe(false);
});

test('a forged or mangled cookie opens nothing', () => {
  const { sessions, isOpen } = startSessions();
  const cookie = cookieIn(sessions.open('sesame', { secure: false }));
  const [name = '', value = ''] = cookie.split('=');
  const [endsAt = '', signature = ''] = value.split('.');
  const forged = [
    `${Number(endsAt) + 1}.${signature}`,
    `${endsAt}.${'A'.repeat(43)}`,
    `${endsAt}.`,
    endsAt,
    '',
    `${value}x`,
    `9e99.${signature}`,
  ];
  for (const each of forged) expect(isOpen(`${name}=${each}`), each).toBe(false);
  expect(isOpen(undefined)).toBe(false);
  expect(isOpen(`${'x=1;'.repeat(100)}${cookie}`)).toBe(false);
  expect(cookieIn(sessions.close())).toBe(`${name}=`);
});

test('a session is that of the token that opened it, and ends when this token is changed or removed', () => {
  const { sessions } = startSessions();
  const cookie = cookieIn(sessions.open('moon', { secure: false }));
  expect(sessions.find(cookie)).toEqual({ name: 'night', mayOperate: false, mayReadContent: false });
  expect(startSessions().sessions.find(cookie)?.name).toBe('night');
  expect(sessions.find(cookie.replace('.night', '.'))).toBeUndefined();
  expect(startSessions({ tokens: [] }).isOpen(cookie)).toBe(false);
  expect(startSessions({ tokens: [{ ...reader, hash: '0'.repeat(64) }] }).isOpen(cookie)).toBe(false);
});

test('the configuration without its one secret token does not suffice to forge a session', () => {
  const { sessions, isOpen } = startSessions({ token: '' });
  const cookie = cookieIn(sessions.open('moon', { secure: false }));
  expect([isOpen(cookie), startSessions({ token: '' }).isOpen(cookie), sessions.open('', { secure: false })]).toEqual([
    true,
    false,
    undefined,
  ]);
});
