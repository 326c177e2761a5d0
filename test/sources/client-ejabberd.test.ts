import { seesWhatAnAccountSees } from '../conformance/account.ts';
import { accountsOnEjabberd } from '../support/account-servers.ts';

seesWhatAnAccountSees(await accountsOnEjabberd());
