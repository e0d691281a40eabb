// Which event people hear when a grant changes, and of which type.

import { expect } from 'chai';
import { EVENTS, type Phase, type Reason } from '../../../src/api/conditions.ts';
import { eventOf } from '../../../src/controllers/grant-record.ts';

const changes: [Phase, Reason, string | undefined][] = [
  ['Pending', 'AgentNotFound', 'Warning Refused'],
  ['Pending', 'AgentNotReady', undefined],
  ['Scheduled', 'NotYetStarted', undefined],
  ['Active', 'Granted', 'Normal Granted'],
  ['Suspended', 'OutsideBoundary', 'Warning Suspended'],
  ['Suspended', 'Restoring', 'Normal Restoring'],
  ['Expired', 'EndPassed', 'Normal Lapsed'],
  ['Expired', 'AgentDeleted', 'Normal Lapsed'],
  ['Revoked', 'EndedByDeletion', 'Warning Revoked'],
  ['Denied', 'RequestAlreadyUsed', 'Warning Denied'],
];

describe('the event about a grant', () => {
  for (const [phase, reason, told] of changes) {
    it(`that is ${phase} for ${reason} is ${told ?? 'none'}`, () => {
      const event = eventOf(phase, reason, true);
      expect(event && `${EVENTS[event].type} ${event}`).to.equal(told);
    });
  }

  it('whose end passed before it ever had access says that, and not that access ended', () => {
    expect(eventOf('Expired', 'EndPassed', false)).to.equal('NeverGranted');
  });
});
