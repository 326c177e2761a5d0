import type { GatedServer } from '../conformance/gate.ts';
import { requirePackage } from './packages.ts';
import { startProsody } from './prosody.ts';

/** Prosody with our modules, for the conformance suite of gates. */
export async function prosodyGate(): Promise<GatedServer> {
  return {
    name: 'Prosody',
    isHere: await requirePackage('prosody'),
    start: ({ url, token, timeoutMs = 20_000, onFailure, rooms }) => {
      const options = [
        `event_pusher_gate_url = "${url}"`,
        `event_pusher_gate_timeout = ${timeoutMs / 1000}`,
        ...(token === undefined ? [] : [`event_pusher_gate_token = "${token}"`]),
        ...(onFailure === undefined ? [] : [`event_pusher_gate_on_failure = "${onFailure}"`]),
      ];
      return startProsody({ modules: ['event_pusher_gate'], config: options.join('\n'), ...(rooms === undefined ? {} : { rooms }) });
    },
  };
}
