package admission

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hullmark/hullmark/internal/admission/snapshot"
	"github.com/hullmark/hullmark/internal/fault"
)

// What a client shows and an API server passes on, in bytes.
const (
	maxWarning  = 256
	maxWarnings = 4096
	maxMessage  = 8 << 10
)

// answer words a decision for the API server. Every answer, also a permission, carries what the audit log
// needs to find the decision in the record again.
func (g *Gate) answer(d *decision) *admissionv1.AdmissionResponse {
	age := snapshot.Age(d.view.Heard, d.request.At)
	out := &admissionv1.AdmissionResponse{
		Allowed: d.verdict.Allow,
		AuditAnnotations: map[string]string{
			"decision": d.request.ID, "policy-revision": d.verdict.Revision, "record-head": strconv.FormatInt(d.verdict.Head, 10),
			"snapshot-age": age.Round(time.Second).String(),
		},
	}
	if d.view.Degraded != "" {
		out.AuditAnnotations["degraded"] = d.view.Degraded
	}
	if len(d.verdict.Exceptions) > 0 {
		out.AuditAnnotations["exceptions"] = numbers(d.verdict.Exceptions)
	}
	out.Warnings = limit(g.warnings(d, age))
	if !d.verdict.Allow {
		out.Result = status(http.StatusForbidden, metav1.StatusReasonForbidden, denial(d))
	}
	return out
}

func (g *Gate) warnings(d *decision, age time.Duration) []string {
	var out []string
	if age > g.staleAfter {
		out = append(out, fmt.Sprintf("hullmark decided from a record that is %s old: its server is away", age.Round(time.Minute)))
	}
	for _, f := range d.verdict.Findings {
		if f.Warns() {
			out = append(out, "hullmark: "+f.Sentence())
		}
	}
	return out
}

// denial is what the person at the keyboard reads.
func denial(d *decision) string {
	var sentences []string
	for _, f := range d.verdict.Findings {
		if f.Denies() {
			sentences = append(sentences, f.Sentence())
		}
	}
	return fmt.Sprintf("%s (decision %[2]s, see: hullmark explain %[2]s)", cut(strings.Join(sentences, " | "), maxMessage), d.request.ID)
}

// denied is the answer to what could not be decided on.
func denied(f *fault.Error) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{
		Result: status(int32(fault.HTTPStatus(f)), metav1.StatusReasonInvalid, fmt.Sprintf("%s [%s]", f.Text, f.Code)),
	}
}

func status(code int32, reason metav1.StatusReason, message string) *metav1.Status {
	return &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}
}

// limit cuts warnings to what is passed on.
func limit(warnings []string) []string {
	total := 0
	for i, w := range warnings {
		warnings[i] = cut(w, maxWarning)
		if total += len(warnings[i]); total > maxWarnings-64 {
			return append(warnings[:i], fmt.Sprintf("hullmark: and %d more", len(warnings)-i))
		}
	}
	return warnings
}

// cut shortens a text to at most n bytes without breaking a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func numbers(list []int64) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(out, ",")
}
