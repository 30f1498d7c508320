// Package policy decides from the record: policies are compiled to one internal representation, and one
// evaluator with one exception resolver answers for the webhook, the command line, simulation and
// recomputation alike. The clock is an input. An error in a check is a failure, never "not matched".
//
// The package reads the evidence projections to make a [Record] of an image, and imports neither
// net/http nor any Kubernetes client.
package policy
