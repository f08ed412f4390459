/** How things are said: times, names, numbers. */

export const CHANNELS = { push: "Push", sms: "SMS", email: "E-mail", inapp: "In-app", webpush: "Web push", whatsapp: "WhatsApp", voice: "Call", slack: "Slack", webhook: "Webhook" };
export const PROVIDERS = {
  sendgrid: "SendGrid", ses: "Amazon SES", mailgun: "Mailgun", mandrill: "Mandrill", smtp: "SMTP", twilio: "Twilio", vonage: "Vonage",
  sns: "Amazon SNS", fcm: "Firebase", apns: "Apple", webpush: "Push service", slack: "Slack", webhook: "Webhook", inapp: "Inbox",
};
export const STATUSES = { accepted: "Accepted", bounced: "Bounced", refused: "Refused" };

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exact = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const long = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const numbers = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

export const number = (value) => numbers.format(value);
export const brief = (value) => (value < 10_000 ? numbers.format(value) : compact.format(value));
export const timeOfDay = (ms) => clock.format(ms);
export const fullTime = (ms) => exact.format(ms);
export const longDay = (ms) => long.format(ms);

/** Say when: today by the clock, earlier by the day. */
export function when(ms, now = Date.now()) {
  return new Date(ms).toDateString() === new Date(now).toDateString() ? clock.format(ms) : short.format(ms);
}

export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/** Name a message's person: by name, else by user id without the default tenant, else by address. */
export function person(message) {
  return message.name || message.user.replace(/^default\//, "");
}

export function initials(name) {
  const words = name.replace(/@.*/, "").split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const letters = words.length > 1 ? words[0][0] + words.at(-1)[0] : (words[0] ?? "?").slice(0, 2);
  return letters.toUpperCase();
}

/** Give each name a colour of its own, always the same. */
export function hue(name) {
  let sum = 7;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 360;
  return sum;
}
