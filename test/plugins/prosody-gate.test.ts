import { carriesOutDecisions, keepsNobodyElseWaiting, outlivesTheLossOfIt } from '../conformance/gate.ts';
import { prosodyGate } from '../support/prosody-gate.ts';

const prosody = await prosodyGate();

carriesOutDecisions(prosody);
keepsNobodyElseWaiting(prosody);
outlivesTheLossOfIt(prosody);
