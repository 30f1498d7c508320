// Package browser tests the pages in a real Chromium with a virtual authenticator, a real npm and a real
// mail server: enrolment, sign-in, step-up and approval.
//
// The Go tests start the program's server in process and tell the browser what to do by driver.mjs, which
// speaks to it by playwright-core. It refuses to run without Chromium: the tests skip, and fail under
// CI=true.
package browser
