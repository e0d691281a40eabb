// What a figure is, and what measuring it gives.

export type Progress = (text: string) => void;

export type Measured = {
  /** The figure itself, as one line for the table. */
  value: string;
  /** Whether the target is met; left out where there is none. */
  met?: boolean;
  /** What it was made of, for whoever wants to know more. */
  details: [label: string, value: string][];
};

export type Figure = {
  /** As `make bench FIGURE=` names it. */
  name: string;
  title: string;
  target: string;
  /** How it was measured, in a sentence or two. */
  method: string;
  measure: (progress: Progress) => Promise<Measured>;
};
