// The lifetimes offered, in seconds: 5 minutes to 30 days.
export const LIFETIMES_S = [300, 3600, 21_600, 86_400, 259_200, 604_800, 1_209_600, 2_592_000];
export const LIFETIME_DEFAULT_S = 86_400;
