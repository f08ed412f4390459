"""Stands in for the providers: one local server speaks their APIs and shows what recipients got.

It judges strictly: a wrong request gets the provider's own error. It injects the faults that are ordered. It
keeps the send log that tests read: every accepted call is in `sent.jsonl` before it is answered.
`sandbox.json` in the same folder says where it listens; `fcm-service-account.json` and `apns.p8` are the keys
that it accepts, `sendgrid-webhook.pub` and `sns-cert.pem` those that its webhooks are signed with.

| on the HTTP port | what |
|---|---|
| `POST /sendgrid/v3/mail/send` | SendGrid; any key `SG.…` but `SG.bad…` |
| `POST /ses/v2/email/outbound-emails` | Amazon SES, raw mails; the keys of `keys.py`, region `eu-west-1` |
| `POST /mailgun/v3/{domain}/messages` | Mailgun; any key but `bad…`, any domain but `unknown.…` |
| `POST /mandrill/api/1.0/messages/send` | Mailchimp Transactional; any key but `bad…` |
| `POST /twilio/2010-04-01/Accounts/{sid}/Messages.json` | Twilio; any token but `bad…`; magic numbers |
| `POST /vonage/sms/json`, `GET /vonage/account/get-balance` | Vonage; any secret but `bad…`; signatures |
| `POST /sns/` | Amazon SNS: `Publish` to a number and `GetSMSAttributes`, signed with `keys.AWS_SECRET` |
| `POST /fcm/token`, `POST /fcm/v1/projects/tocsin-sandbox/messages:send` | Google's OAuth and FCM v1 |
| `GET /` | the viewer |
| `GET /sent`, `GET /sent/{seq}`, `DELETE /sent` | messages, newest first; the query is `console.Filter` |
| `GET /count` | totals; `?messages=1` also which message ids were sent twice |
| `GET /users?q=` | people with messages; `PUT /people` names them and their addresses |
| `GET /faults`, `POST /faults`, `DELETE /faults` | what goes wrong: `faults.Order` as JSON |
| `POST /reports` | post signed webhooks about messages: `reporting.ReportOrder` as JSON |
| `GET /live` | server-sent events |
| `GET /healthz` | ready |

APNs (`POST /3/device/{token}`) has the HTTP/2 port, mail the SMTP port.

How our message id travels: SendGrid `custom_args.message_id`; SES the tag `message_id`; Mailgun
`v:message_id`; Mandrill `metadata.message_id`; Twilio the query of `StatusCallback`; Vonage
`client-ref`; SNS the header `amz-sdk-invocation-id`; FCM
`data.message_id`; APNs `apns-id`; SMTP `X-Tocsin-Message-Id`, else `Message-ID`.
"""
