package oci

import (
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// span is a part of an upload: bytes first to last, both included.
type span struct{ first, last int64 }

func (s span) length() int64 { return s.last - s.first + 1 }

// parseSpan reads the Content-Range of a chunk. The specification's form is "<first>-<last>",
// without the unit that HTTP asks for; some clients send "bytes <first>-<last>/<size>" or "/*" and
// mean the same.
//
// Source: distribution-spec 1.1, "Pushing a blob in chunks".
func parseSpan(header string) (span, error) {
	s := strings.TrimSpace(strings.TrimPrefix(header, "bytes"))
	s, _, _ = strings.Cut(s, "/")
	first, last, _ := strings.Cut(s, "-")
	a, errA := strconv.ParseUint(first, 10, 62)
	b, errB := strconv.ParseUint(last, 10, 62)
	if errA != nil || errB != nil || b < a {
		return span{}, fault.New(fault.Invalid, "upload-range-malformed",
			"%q is not a Content-Range; expected <first byte>-<last byte>", fault.Clip(header))
	}
	return span{int64(a), int64(b)}, nil
}

// rangeOf is the Range header that says how much of an upload is here. The specification has no
// form for "nothing"; "0-0" is what everybody sends.
func rangeOf(size int64) string { return "0-" + strconv.FormatInt(max(size-1, 0), 10) }
