import { carriesOutDecisions, delaysOnlyTheSender, survivesTheLossOfTheGate } from '../conformance/gate.ts';
import { ejabberdGate } from '../support/ejabberd-gate.ts';

const ejabberd = await ejabberdGate();

carriesOutDecisions(ejabberd);
delaysOnlyTheSender(ejabberd);
survivesTheLossOfTheGate(ejabberd);
