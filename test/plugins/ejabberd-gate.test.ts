import { carriesOutDecisions, keepsNobodyElseWaiting, outlivesTheLossOfIt } from '../conformance/gate.ts';
import { ejabberdGate } from '../support/ejabberd-gate.ts';

const ejabberd = await ejabberdGate();

carriesOutDecisions(ejabberd);
keepsNobodyElseWaiting(ejabberd);
outlivesTheLossOfIt(ejabberd);
