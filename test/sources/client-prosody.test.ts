import { seesWhatAnAccountSees } from '../conformance/account.ts';
import { accountsOnProsody } from '../support/account-servers.ts';

seesWhatAnAccountSees(await accountsOnProsody());
