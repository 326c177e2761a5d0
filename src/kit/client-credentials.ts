/** The credentials of an OAuth 2.0 client as a request contains them: each part form-encoded, and both in Basic credentials (RFC 6749 §2.3.1). */
export function clientCredentials(id: string, secret: string): { readonly encodedSecret: string; readonly basic: string } {
  const encodedSecret = formEncoded(secret);
  return { encodedSecret, basic: Buffer.from(`${formEncoded(id)}:${encodedSecret}`).toString('base64') };
}

function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}
