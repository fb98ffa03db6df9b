// The formats bound to the page's language.
import { language } from "../i18n";
import * as format from "./format";

export const bytes = (count: number) => format.bytes(count, language.value);
export const percent = (part: number, whole: number) => format.percent(part, whole, language.value);
export const duration = (seconds: number) => format.duration(seconds, language.value);
export const lifetime = (seconds: number) => format.duration(seconds, language.value, "long");
export const milliseconds = (ms: number) => format.milliseconds(ms, language.value);
export const count = (value: number) => format.count(value, language.value);
export const dateTime = (at: string | number) => format.dateTime(at, language.value);
