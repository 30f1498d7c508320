// Package certs is the webhook's own small certificate authority: one authority, one serving
// certificate, both made here, rotated here and known to nobody but the cluster's API server.
//
// An authority lives for a year and a certificate for thirty days; each is replaced after two thirds of
// that. A new authority is published before it signs anything, and the old one stays published until it
// ends, so that no API server ever meets a certificate that it has no root for. Time is an input: after
// a jump of the clock, whatever is not valid now is replaced at once. It refuses to use a key file
// that others can read.
package certs
