import { decode, type Received } from './backend.ts';
import { describeLine } from './conversation.ts';
import type { Scene } from './scene.ts';
import type { Cast } from './show.ts';
import { until } from './until.ts';

/** Says where everything is and shows what else the backend receives, until somebody ends the demo. Throws when a part fails. */
export async function keepRunning({ server, backend, pusher }: Cast, scene: Scene): Promise<void> {
  const { page, signal } = scene;
  page.heading('Addresses', 'the demo runs until Ctrl-C; what else the backend receives is shown below');
  page.row('metrics', `${pusher.admin}/metrics`);
  page.row('health', `${pusher.admin}/readyz and ${pusher.admin}/healthz`);
  page.row('configuration', pusher.configFile);
  page.row('log', pusher.logFile);
  if (server.invitation !== undefined) page.row('join in', server.invitation);
  backend.onReceived = (request) => describe(request, scene);

  const hasEnded = () => {
    server.assertRunning();
    pusher.assertRunning();
    return signal.aborted;
  };
  await until(hasEnded, { problem: '', withinMs: Number.POSITIVE_INFINITY, ...scene, signal: new AbortController().signal });
}

function describe({ attempt, form, status }: Received, { page }: Scene): void {
  page.gap();
  page.row(`attempt ${attempt}`, `answered ${status}`, status === 200 ? 'good' : 'bad');
  page.row('received', form);
  page.row('decoded', describeLine(decode(form)));
}
