// The comparison of the guards in the cluster with those that hallpass ships.
import { expect } from 'chai';
import { expectedGuards, type Guards } from '../../../src/access/guards/expected.ts';
import { guardProblems, type LiveGuards } from '../../../src/access/guards/problems.ts';

/** The shipped guards after an edit, as they could be in the cluster. */
function edited(edit: (guards: Guards) => void): LiveGuards {
  const guards = expectedGuards();
  edit(guards);
  return guards;
}

function named<T extends { metadata?: { name?: string } }>(objects: T[], name: string): T {
  const found = objects.find((object) => object.metadata?.name === name);
  if (!found) throw new Error(`no guard is named ${name}`);
  return found;
}

const validating = (guards: Guards, name: string) => {
  const { spec } = named(guards.validatingPolicies, name);
  if (!spec?.matchConstraints) throw new Error(`${name} has no match constraints`);
  return { spec, match: spec.matchConstraints };
};
const validatingBinding = (guards: Guards, name: string) => {
  const { spec } = named(guards.validatingBindings, name);
  if (!spec) throw new Error(`${name} has no spec`);
  return spec;
};
const mutatingSpec = (guards: Guards, name: string) => {
  const { spec } = named(guards.mutatingPolicies, name);
  if (!spec?.matchConstraints) throw new Error(`${name} has no match constraints`);
  return spec;
};

describe('guards', () => {
  describe('as they are shipped', () => {
    const guards = expectedGuards();
    const policies = [...guards.mutatingPolicies, ...guards.validatingPolicies];

    it('take no parameters, since a missing parameter kind would stop pod creation everywhere', () => {
      for (const { spec } of policies) expect(spec).not.to.have.property('paramKind');
    });

    it('fail closed, except the one that only warns', () => {
      const open = policies.filter(({ spec }) => spec?.failurePolicy !== 'Fail').map(({ metadata }) => metadata?.name);
      expect(open).to.deep.equal(['hallpass-born-expired']);
      expect(validatingBinding(expectedGuards(), 'hallpass-born-expired').validationActions).to.deep.equal(['Warn']);
    });

    it('never stand in the way of deleting identities, grants and receipts, so that no namespace hangs', () => {
      const deletions = policies.flatMap(({ spec }) =>
        (spec?.matchConstraints?.resourceRules ?? []).filter(
          (rule) => rule.operations?.includes('DELETE') && rule.apiGroups?.includes('hallpass.dev'),
        ),
      );
      expect(deletions.flatMap(({ resources }) => resources)).to.deep.equal(['agentsignals']);
    });

    it('let Kubernetes delete signals with their namespace, before anything else is asked', () => {
      const guard = guards.validatingPolicies.find(({ metadata }) => metadata?.name === 'hallpass-signal-lifters');
      const validations = guard?.spec?.validations ?? [];
      expect(validations).to.have.length(1);
      for (const { expression } of validations) {
        expect(expression).to.match(
          /^request\.userInfo\.username in \['system:serviceaccount:kube-system:namespace-controller', 'system:kube-controller-manager'\] \|\| /,
        );
      }
    });

    it('have each a binding of the same name', () => {
      const names = (objects: { metadata?: { name?: string } }[]) => objects.map(({ metadata }) => metadata?.name);
      expect(names(guards.mutatingBindings)).to.deep.equal(names(guards.mutatingPolicies));
      expect(names(guards.validatingBindings)).to.deep.equal(names(guards.validatingPolicies));
    });

    it('say in every refusal in one line what to do', () => {
      for (const { metadata, spec } of guards.validatingPolicies) {
        for (const { message } of spec?.validations ?? []) {
          expect(message, metadata?.name).to.match(/^[^\n]{60,}$/);
        }
      }
    });

    it('are given out as copies', () => {
      expectedGuards().validatingPolicies.pop();
      expect(expectedGuards()).to.deep.equal(guards);
    });
  });

  describe('are intact', () => {
    it('as shipped', () => {
      expect(guardProblems(expectedGuards())).to.deep.equal([]);
    });

    it('beside policies of other owners', () => {
      const live = edited((guards) => {
        guards.validatingPolicies.push({ metadata: { name: 'somebody-elses' }, spec: { failurePolicy: 'Ignore' } });
      });
      expect(guardProblems(live)).to.deep.equal([]);
    });

    it('after the API server filled in defaults, status and managed fields', () => {
      const live = edited((guards) => {
        const { spec, match } = validating(guards, 'hallpass-tokens');
        Object.assign(named(guards.validatingPolicies, 'hallpass-tokens'), { status: { observedGeneration: 1 } });
        Object.assign(spec, { auditAnnotations: [], aFieldOfALaterKubernetes: 'Default' });
        match.excludeResourceRules = [];
        validatingBinding(guards, 'hallpass-tokens').matchResources = {
          matchPolicy: 'Equivalent',
          namespaceSelector: {},
          objectSelector: {},
        };
      });
      expect(guardProblems(live)).to.deep.equal([]);
    });

    it('when the API server left defaults out', () => {
      const live = edited((guards) => {
        const { spec, match } = validating(guards, 'hallpass-tokens');
        delete spec.failurePolicy;
        delete match.matchPolicy;
        delete match.namespaceSelector;
        delete match.objectSelector;
        for (const rule of match.resourceRules ?? []) delete rule.scope;
      });
      expect(guardProblems(live)).to.deep.equal([]);
    });

    it('with other words in a message, and with labels for whoever tracks them', () => {
      const live = edited((guards) => {
        const { spec } = validating(guards, 'hallpass-tokens');
        for (const validation of spec.validations ?? []) validation.message = 'Bitte nicht.';
        Object.assign(named(guards.validatingPolicies, 'hallpass-tokens').metadata ?? {}, {
          labels: { tracked: 'yes' },
        });
      });
      expect(guardProblems(live)).to.deep.equal([]);
    });

    it('when a rolling upgrade brought newer ones that still match everything and deny', () => {
      const live = edited((guards) => {
        const { spec, match } = validating(guards, 'hallpass-tokens');
        named(guards.validatingPolicies, 'hallpass-tokens').metadata = {
          name: 'hallpass-tokens',
          annotations: { 'hallpass.dev/guards-version': '2' },
        };
        spec.validations = [{ expression: 'something.new()' }];
        match.resourceRules?.push({
          apiGroups: [''],
          apiVersions: ['v1'],
          operations: ['CREATE'],
          resources: ['pods'],
        });
      });
      expect(guardProblems(live)).to.deep.equal([]);
    });
  });

  describe('are not intact', () => {
    const problems: [what: string, edit: (guards: Guards) => void, problem: RegExp][] = [
      [
        'without one of the policies',
        (guards) => guards.validatingPolicies.splice(0, 1),
        /^ValidatingAdmissionPolicy hallpass-\S+ is missing: .*kubectl apply -k deploy\/guards$/,
      ],
      [
        'without one of the bindings',
        (guards) => guards.mutatingBindings.splice(0, 1),
        /^MutatingAdmissionPolicyBinding hallpass-\S+ is missing/,
      ],
      [
        'while one is being deleted',
        (guards) => {
          Object.assign(named(guards.validatingPolicies, 'hallpass-pods').metadata ?? {}, {
            deletionTimestamp: '2026-01-01T00:00:00Z',
          });
        },
        /hallpass-pods is being deleted/,
      ],
      [
        'with a failure policy that lets errors pass',
        (guards) => {
          validating(guards, 'hallpass-pods').spec.failurePolicy = 'Ignore';
        },
        /hallpass-pods was changed \(failurePolicy\)/,
      ],
      [
        'with a match condition more',
        (guards) => {
          validating(guards, 'hallpass-pods').spec.matchConditions?.push({ name: 'never', expression: 'false' });
        },
        /hallpass-pods was changed \(matchConditions\)/,
      ],
      [
        'with a namespace excluded',
        (guards) => {
          validating(guards, 'hallpass-pods').match.namespaceSelector = { matchLabels: { guarded: 'yes' } };
        },
        /hallpass-pods was changed \(matchConstraints\)/,
      ],
      [
        'with objects excluded by a label',
        (guards) => {
          validating(guards, 'hallpass-roles').match.objectSelector = {
            matchExpressions: [{ key: 'x', operator: 'DoesNotExist' }],
          };
        },
        /hallpass-roles was changed \(matchConstraints\)/,
      ],
      [
        'with resources excluded',
        (guards) => {
          validating(guards, 'hallpass-roles').match.excludeResourceRules = [
            { apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['roles'] },
          ];
        },
        /hallpass-roles was changed \(matchConstraints\)/,
      ],
      [
        'with names of resources listed',
        (guards) => {
          for (const rule of validating(guards, 'hallpass-roles').match.resourceRules ?? [])
            rule.resourceNames = ['one'];
        },
        /hallpass-roles was changed \(matchConstraints\)/,
      ],
      [
        'with an operation less',
        (guards) => {
          for (const rule of validating(guards, 'hallpass-roles').match.resourceRules ?? [])
            rule.operations = ['CREATE'];
        },
        /hallpass-roles was changed \(matchConstraints\)/,
      ],
      [
        'with an expression that always holds',
        (guards) => {
          for (const rule of validating(guards, 'hallpass-stamps').spec.validations ?? []) rule.expression = 'true';
        },
        /hallpass-stamps was changed \(validations\)/,
      ],
      [
        'with a variable that means something else',
        (guards) => {
          for (const variable of validating(guards, 'hallpass-stamps').spec.variables ?? [])
            variable.expression = 'true';
        },
        /hallpass-stamps was changed \(variables\)/,
      ],
      [
        'with parameters, whose absence would switch it off',
        (guards) => {
          validating(guards, 'hallpass-pods').spec.paramKind = { apiVersion: 'v1', kind: 'ConfigMap' };
          validatingBinding(guards, 'hallpass-pods').paramRef = { name: 'x', parameterNotFoundAction: 'Allow' };
        },
        /hallpass-pods was changed \(paramKind\)/,
      ],
      [
        'with a binding that only audits',
        (guards) => {
          validatingBinding(guards, 'hallpass-pods').validationActions = ['Audit'];
        },
        /ValidatingAdmissionPolicyBinding hallpass-pods was changed \(validationActions\)/,
      ],
      [
        'with a binding that leaves namespaces out',
        (guards) => {
          validatingBinding(guards, 'hallpass-pods').matchResources = {
            namespaceSelector: { matchLabels: { guarded: 'yes' } },
          };
        },
        /Binding hallpass-pods was changed \(matchResources\)/,
      ],
      [
        'with a binding to another policy',
        (guards) => {
          validatingBinding(guards, 'hallpass-pods').policyName = 'something-else';
        },
        /Binding hallpass-pods was changed \(policyName\)/,
      ],
      [
        'with a mutation that stamps somebody else',
        (guards) => {
          mutatingSpec(guards, 'hallpass-stamps').mutations = [
            { patchType: 'JSONPatch', jsonPatch: { expression: '[]' } },
          ];
        },
        /MutatingAdmissionPolicy hallpass-stamps was changed \(mutations\)/,
      ],
      [
        'with a mutation that is not repeated when other admission adds containers',
        (guards) => {
          mutatingSpec(guards, 'hallpass-pods').reinvocationPolicy = 'Never';
        },
        /hallpass-pods was changed \(reinvocationPolicy\)/,
      ],
      [
        'under a newer version that fails open',
        (guards) => {
          Object.assign(named(guards.validatingPolicies, 'hallpass-pods').metadata ?? {}, {
            annotations: { 'hallpass.dev/guards-version': '99' },
          });
          validating(guards, 'hallpass-pods').spec.failurePolicy = 'Ignore';
        },
        /hallpass-pods was changed \(failurePolicy\)/,
      ],
      [
        'in an older version that says less',
        (guards) => {
          delete named(guards.validatingPolicies, 'hallpass-pods').metadata?.annotations;
          validating(guards, 'hallpass-pods').spec.validations?.pop();
        },
        /hallpass-pods is of an older version/,
      ],
      [
        'when unreadable',
        (guards) => {
          Object.assign(named(guards.validatingPolicies, 'hallpass-pods'), { spec: 7 });
        },
        /hallpass-pods was changed \(unreadable\)/,
      ],
    ];
    for (const [what, edit, problem] of problems) {
      it(what, () => {
        const found = guardProblems(edited(edit));
        expect(found.filter((text) => problem.test(text))).to.have.length(1);
      });
    }

    it('when there is nothing at all: every policy and binding is named', () => {
      const nothing = { mutatingPolicies: [], mutatingBindings: [], validatingPolicies: [], validatingBindings: [] };
      const { length } = Object.values(expectedGuards()).flat();
      expect(guardProblems(nothing)).to.have.length(length);
    });
  });
});
