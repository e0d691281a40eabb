// @peculiar/x509 resolves its algorithms through tsyringe, which refuses to load without reflect-metadata. Nothing in it
// is injected by type, so no metadata is ever found, and that answer is all it needs. Import before @peculiar/x509.
const none = () => undefined;
if (!('getMetadata' in Reflect)) Object.assign(Reflect, { getMetadata: none, getOwnMetadata: none });
