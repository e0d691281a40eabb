// When and while what a grant is given: windows of time, and conditions in CEL.

import * as z from 'zod';
import { line, listOf, required, ruled, text, worded } from './schema.ts';
import { isTimeZone, TIME_ZONE } from './time-zone.ts';

const EXPRESSION_WANTED = 'say what must be true, as a CEL expression';

/** An expression in CEL; whether it compiles is said in the status of what holds it, since the API server can't tell. */
export function expression() {
  return text({ min: 1, max: 2048 });
}

const NAME_WANTED = 'give the condition a short name, such as in-production: lower-case letters, digits and -';

const condition = z.object({
  name: required(worded(63, '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', NAME_WANTED), `${NAME_WANTED}: set name`).describe(
    'Required. A short name, for messages.',
  ),
  expression: required(expression(), `${EXPRESSION_WANTED}: set expression`).describe(
    'Required. What must be true, in CEL, over agent, grant and signals. docs/expressions.md has what there is. While it cannot be evaluated, nothing is given, and nothing is revoked.',
  ),
  onFalse: z
    .enum(['Suspend', 'Revoke'])
    .optional()
    .describe(
      'What happens to access that was given when this is no longer true. Suspend: it is withdrawn until it is. Revoke: it is ended for good. Left out: Suspend.',
    ),
});

const WHY_WANTED = 'say why, for whoever is refused by this line or reviews it';

/** The conditions of a grant. */
export const grantConditions = listOf(condition, { max: 8 });

/** The conditions of a policy, each with why. */
export const policyConditions = listOf(
  condition.extend({
    why: required(line(256, WHY_WANTED), `${WHY_WANTED}: set why`).describe(
      'Required. Why. It is shown to whoever is refused.',
    ),
  }),
  { max: 16 },
);

const HOURS = '([01][0-9]|2[0-3]):[0-5][0-9]';
const TIME_ZONE_WANTED = 'must be the IANA name of a time zone, such as Europe/Berlin or UTC; an offset is none';

const window = ruled(
  z.object({
    days: listOf(z.enum(['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']), { max: 7 })
      .optional()
      .describe('The days on which the window begins. Left out or empty: every day.'),
    from: required(
      worded(5, `^${HOURS}$`, 'must be a time of day from 00:00 to 23:59, such as 09:00'),
      'say when the window opens: set from, such as 09:00',
    ).describe('Required. When it opens, by the clock on the wall in its zone, such as 09:00.'),
    to: required(
      worded(5, `^(${HOURS}|24:00)$`, 'must be a time of day from 00:00 to 24:00, such as 17:00'),
      'say when the window closes: set to, such as 17:00',
    ).describe('Required. When it closes. Where that is not later than from, it closes on the day after.'),
    timeZone: required(
      ruled(text({ max: 64 }), [
        {
          // The API server fails to evaluate this for a zone that it doesn't know, and says so with the message.
          cel: `self.matches('${TIME_ZONE}') && timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0`,
          message: TIME_ZONE_WANTED,
          holds: isTimeZone,
        },
      ]),
      'say by which clock: set timeZone, such as Europe/Berlin or UTC',
    ).describe(
      'Required. IANA name of the time zone, such as Europe/Berlin. An hour that its clock shows twice is open twice; one that it skips does not open.',
    ),
  }),
  [
    {
      cel: 'self.from != self.to',
      fieldPath: '.to',
      message: 'from and to must differ; a whole day goes from 00:00 to 24:00',
      holds: ({ from, to }) => from !== to,
    },
  ],
);

/** The windows of a grant. */
export const windows = listOf(window, { max: 8 });

export type Condition = z.infer<typeof condition>;
export type Window = z.infer<typeof window>;
