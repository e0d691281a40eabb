// Who can change it that something stands against a grant: the closed set of them, as a table.

/** `who`: for a sentence. `meaning`: what one of them can do, and by what right. */
export const ACTORS = {
  Requester: {
    who: 'whoever asks for it',
    meaning: 'Whoever asks for the access: edits the grant, asks for less, or asks anew.',
  },
  IdentityOwner: {
    who: 'the owner of the agent',
    meaning:
      'Who answers for the agent: spec.owner of its AgentIdentity, or whoever else edits that (ClusterRole hallpass-identities-edit).',
  },
  PolicyAdmin: {
    who: 'whoever maintains AgentPolicies (ClusterRole hallpass-policies-edit)',
    meaning: 'Whoever maintains AgentPolicies (ClusterRole hallpass-policies-edit).',
  },
  Reviewer: {
    who: 'a reviewer (ClusterRole hallpass-reviewer)',
    meaning: 'Somebody who holds the verb approve on the grant (ClusterRole hallpass-reviewer) and did not write it.',
  },
  Certifier: {
    who: 'a certifier (ClusterRole hallpass-certifier)',
    meaning: 'Somebody who holds the verb certify on the AgentIdentity (ClusterRole hallpass-certifier).',
  },
  Reporter: {
    who: 'whom the policy trusts with the signal (its spec.reporters)',
    meaning: 'Whom the policy that responds to an AgentSignal, or reads it, trusts with it: its spec.reporters.',
  },
  NamespaceAdmin: {
    who: 'whoever may change the namespace',
    meaning:
      'Whoever may change the target namespace: its Namespace object, which the built-in role admin may not, or what is in it.',
  },
  ClusterAdmin: {
    who: 'a cluster admin',
    meaning: "Whoever may change what is the whole cluster's: the ceilings, the guards, admission policies.",
  },
  Others: {
    who: 'whoever changes what the condition is about',
    meaning: 'Whoever changes what a condition is about: labels and owner of the agent, labels of a namespace.',
  },
  Time: {
    who: 'time alone',
    meaning: 'Nobody has to do anything: it passes with time. The remedy says when or with what.',
  },
  Hallpass: { who: 'hallpass itself', meaning: 'Nobody has to do anything: hallpass is at it, or tries it again.' },
} as const satisfies Record<string, { who: string; meaning: string }>;

export type Actor = keyof typeof ACTORS;

/** Whether a text, from a stored status for instance, names one of them. */
export function isActor(text: string): text is Actor {
  return Object.hasOwn(ACTORS, text);
}
