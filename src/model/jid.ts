/** A prepared JID (nodeprep, nameprep, resourceprep); absent parts are empty strings. RFC 7622. */
export interface Jid {
  readonly user: string;
  readonly server: string;
  readonly resource: string;
  /** `user@server`, or `server` alone. */
  readonly bare: string;
  /** `bare/resource`, or `bare` where there is no resource. */
  readonly full: string;
}
