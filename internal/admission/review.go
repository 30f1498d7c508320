package admission

import (
	"bytes"
	stdjson "encoding/json"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/json"

	"github.com/hullmark/hullmark/internal/fault"
)

const (
	// maxReview bounds a review, in bytes. The API server takes objects of 3 MB and sends an update's
	// object twice; a cluster that was told to take 10 MB is still answered.
	maxReview = 24 << 20
	// uidWithin is where in a review the uid must stand to be found without reading the whole.
	uidWithin = 4 << 10

	apiVersion = "admission.k8s.io/v1"
	reviewKind = "AdmissionReview"
)

// ParseReview reads an AdmissionReview and returns its request. It fails with code review-malformed, or
// with review-version-unsupported for another version than v1.
func ParseReview(raw []byte) (*admissionv1.AdmissionRequest, error) {
	var review admissionv1.AdmissionReview
	if err := json.UnmarshalCaseSensitivePreserveInts(raw, &review); err != nil {
		return nil, malformedReview("it is not the JSON of an AdmissionReview").Because(err)
	}
	if review.Kind != reviewKind || review.APIVersion != apiVersion {
		return nil, fault.New(fault.Unsupported, "review-version-unsupported",
			"this webhook speaks %s %s and was sent %.60q %.60q; list only \"v1\" in admissionReviewVersions",
			apiVersion, reviewKind, review.APIVersion, review.Kind)
	}
	if review.Request == nil || review.Request.UID == "" {
		return nil, malformedReview("it has no request with a uid")
	}
	return review.Request, nil
}

func malformedReview(why string) *fault.Error {
	return fault.New(fault.Invalid, "review-malformed", "the review cannot be read: %s; send what the API server sends", why)
}

// uidOf looks for the request's uid at the beginning of a review that is too large to be read, so that
// it can be denied by name instead of failing.
func uidOf(prefix []byte) types.UID {
	dec := stdjson.NewDecoder(bytes.NewReader(prefix[:min(len(prefix), uidWithin)]))
	depth, inRequest := 0, false
	var key string
	for isKey := true; ; {
		token, err := dec.Token()
		if err != nil {
			return ""
		}
		switch t := token.(type) {
		case stdjson.Delim:
			if t == '{' || t == '[' {
				inRequest = inRequest || depth == 1 && key == "request"
				depth++
				isKey = t == '{'
				continue
			}
			depth--
			isKey = true
			continue
		case string:
			if isKey {
				key, isKey = t, false
				continue
			}
			if inRequest && depth == 2 && key == "uid" {
				return types.UID(t)
			}
		}
		isKey = true
	}
}
