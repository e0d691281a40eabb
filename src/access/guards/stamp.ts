// Pieces of CEL about stamps: making one, and telling whose it is.

/**
 * A stamp, from what has username, uid and groups: the caller, or an older stamp. It is built anew, since values of
 * objects and requests can't be written into a JSON patch as they are.
 */
export function stampOf(who: string): string {
  return `{"username": dyn(${who}.username), ?"uid": optional.ofNonZeroValue(${who}.?uid.orValue("")).optMap(uid, dyn(uid)), "groups": dyn(${who}.?groups.orValue([]).map(group, group))}`;
}

/** Whether a stamp names the caller. */
export function namesCaller(stamp: string): string {
  return [
    `${stamp}.username == request.userInfo.username`,
    `${stamp}.?uid.orValue("") == request.userInfo.?uid.orValue("")`,
    `${stamp}.?groups.orValue([]) == request.userInfo.?groups.orValue([])`,
  ].join(' && ');
}
