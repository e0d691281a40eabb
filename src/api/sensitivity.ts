// How sensitive the data of a namespace is, as four levels in order.

import * as z from 'zod';

export const DATA_SENSITIVITIES = ['public', 'internal', 'confidential', 'restricted'] as const;
export type DataSensitivity = (typeof DATA_SENSITIVITIES)[number];

/** What a namespace without a label counts as where no policy says otherwise. */
export const UNLABELLED: DataSensitivity = 'internal';

export const dataSensitivity = (): z.ZodEnum<{ [L in DataSensitivity]: L }> => z.enum(DATA_SENSITIVITIES);

/** Whether the first level is above the second. */
export function isAbove(level: DataSensitivity, limit: DataSensitivity): boolean {
  return DATA_SENSITIVITIES.indexOf(level) > DATA_SENSITIVITIES.indexOf(limit);
}

/** The level that a label says: a word that is none of the four counts as the highest, undefined without a label. */
export function labelledSensitivity(label: string | undefined): DataSensitivity | undefined {
  return label === undefined ? undefined : (DATA_SENSITIVITIES.find((level) => level === label) ?? 'restricted');
}
