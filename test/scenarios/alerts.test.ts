/** Prometheus of Debian scrapes the built service with the alert rules of deploy/, and answers each query of the dashboard. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';
import { type Prometheus, startPrometheus } from '../support/prometheus.ts';
import { type PushRig, startPushRig } from '../support/push-rig.ts';
import { type ScriptedChat, startScriptedChat } from '../support/scripted-chat.ts';
import { type Answer, freePort } from '../support/target.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe.skipIf(!(await requirePackage('prometheus', '/usr/bin/promtool')))('with the Debian package prometheus', () => {
  let folder = '';
  let chat: ScriptedChat;
  let rig: PushRig;
  let prometheus: Prometheus;
  let listen = '';
  let backendAccepts = true;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'alerts-'));
    chat = await startScriptedChat({ queueBytes: 64 * 1024 * 1024 });
    listen = `127.0.0.1:${await freePort()}`;
    const handlers = '[[modules.mod_event_pusher.backend.http]]\nname = "push"\npath = "/notifications"\n';
    const script = (): Answer => ({ kind: 'answer', status: backendAccepts ? 200 : 400 });
    rig = await startPushRig(chat.server.port, { listen, handlers, script });
    const rules = await readFile(join(root, 'deploy/prometheus/event-pusher.rules.yml'), 'utf8');
    await writeFile(join(folder, 'event-pusher.rules.yml'), rules.replaceAll(/^( *for:) \w+$/gm, '$1 0s'));
    const shipped = await readFile(join(root, 'prometheus.yml'), 'utf8');
    const adapted = shipped
      .replace('127.0.0.1:9464', listen)
      .replace('scrape_interval: 15s', 'scrape_interval: 1s\n  evaluation_interval: 1s')
      .replace('# rule_files: [event-pusher.rules.yml]', `rule_files: [${join(folder, 'event-pusher.rules.yml')}]`);
    prometheus = await startPrometheus(adapted);
    await eventually(async () => expect(await prometheus.query('up{job="event-pusher"} == 1')).toHaveLength(1));
  });

  afterAll(async () => {
    await prometheus?.[Symbol.asyncDispose]();
    await rig?.[Symbol.asyncDispose]();
    await chat?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test('no alert fires while all is well, not even that of missing series', async () => {
    chat.say('hello');
    await rig.settled(1);
    await evaluatedAfter('event_pusher_deliveries_total{disposition="delivered"} == 1');
    expect(await firing()).toEqual([]);
  });

  test('a backend that refuses fires the alerts about it and about its dead letters', async () => {
    backendAccepts = false;
    chat.say('refused');
    await eventually(async () =>
      expect(await firing()).toEqual(expect.arrayContaining(['EventPusherBackendFailing', 'EventPusherDeadLetters'])),
    );
  });

  test('every query of the dashboard has an answer', async () => {
    const queries = await dashboardQueries();
    expect(queries.length).toBeGreaterThan(25);
    // A rate needs two scrapes.
    await eventually(async () => {
      const empty = await Promise.all(queries.map(async ({ title, expr }) => ((await prometheus.query(expr)).length === 0 ? [title] : [])));
      expect(empty.flat()).toEqual([]);
    });
  });

  test('a paused handler and a paused pool fire their alerts, and are shown on the dashboard', async () => {
    const panels = await dashboardQueries();
    const shown = async (title: string) =>
      (await prometheus.query(panels.find((panel) => panel.title === title)?.expr ?? '')).filter(({ value }) => value > 0);
    expect(await shown('Pauses')).toEqual([]);
    await operate('pools/http_pool/handlers/push/pause');
    await eventually(async () => expect(await firing()).toContain('EventPusherHandlerPaused'));
    expect(await shown('Pauses')).toMatchObject([{ labels: { pool: 'http_pool', handler: 'push' } }]);
    await operate('pools/http_pool/pause');
    await eventually(async () => expect(await firing()).toContain('EventPusherPoolPaused'));
    expect(await shown('Paused')).toMatchObject([{ value: 2 }]);
    await operate('pools/http_pool/handlers/push/resume');
    await operate('pools/http_pool/resume');
    await eventually(async () => expect((await firing()).filter((name) => name.endsWith('Paused'))).toEqual([]));
  });

  test('a host without a tap fires the alert about its attachment, which ends with the cause', async () => {
    chat.server.tapEnabled = false;
    chat.server.disconnect();
    await eventually(async () => expect(await firing()).toContain('EventPusherAttachmentDown'));
    chat.server.tapEnabled = true;
    chat.server.disconnect();
    await eventually(async () => expect(await firing()).not.toContain('EventPusherAttachmentDown'));
  });

  test('a service that has ended fires the alert about it', async () => {
    expect(await rig.pusher.stop()).toBe(0);
    await eventually(async () => expect(await firing()).toContain('EventPusherDown'));
  });

  /** Resolves when the rules have been evaluated after the series was scraped. */
  async function evaluatedAfter(series: string): Promise<void> {
    await eventually(async () => expect(await prometheus.query(series)).toHaveLength(1));
    const now = Date.now();
    await eventually(async () => expect(await prometheus.evaluatedAt()).toBeGreaterThan(now));
  }

  /** POST to the service's API. */
  async function operate(path: string): Promise<void> {
    const answer = await fetch(`http://${listen}/api/v1/${path}`, { method: 'POST' });
    if (!answer.ok) throw new Error(await answer.text());
  }

  async function firing(): Promise<readonly string[]> {
    const alerts = await prometheus.query('count by (alertname) (ALERTS{alertstate="firing"})');
    return alerts.map(({ labels }) => labels['alertname'] ?? '');
  }
});

/** The queries of all panels. */
async function dashboardQueries(): Promise<readonly { readonly title: string; readonly expr: string }[]> {
  const { panels }: { readonly panels: readonly Panel[] } = JSON.parse(
    await readFile(join(root, 'deploy/grafana/event-pusher.json'), 'utf8'),
  );
  return panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr: inGrafana(expr) })));
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** A query with the values that Grafana puts in place of its variables. */
function inGrafana(expression: string): string {
  return expression.replaceAll('$__rate_interval', '10s').replaceAll('$job', '.+').replaceAll('$instance', '.+');
}
