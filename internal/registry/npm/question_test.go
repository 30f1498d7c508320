package npm_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account/accounttest"
)

const bulk = "-/npm/v1/security/advisories/bulk"

func zipped(t testing.TB, text string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	accounttest.Check(t, err)
	accounttest.Check(t, z.Close())
	return &b
}

func TestAnAuditIsAnsweredOrRefusedWhateverItHolds(t *testing.T) {
	t.Parallel()
	in := start(t)
	quick := "-/npm/v1/security/audits/quick"
	for title, c := range map[string]struct {
		path, body, answer string
		status             int
	}{
		"a list":                    {bulk, `{"a":["1.0.0"],"b":[]}`, "{}", 200},
		"null":                      {bulk, `null`, "{}", 200},
		"an array":                  {bulk, `[]`, "body-malformed", 400},
		"half a list":               {bulk, `{"a":[`, "body-malformed", 400},
		"more than is taken":        {bulk, `{"a":["` + strings.Repeat("x", 16<<20) + `"]}`, "body-too-large", 413},
		"a tree":                    {quick, `{"name":"x","requires":{"a":"1"},"dependencies":{"a":{"version":"1"},"b":{"dependencies":{"c":{}}}}}`, `"totalDependencies":3`, 200},
		"a tree without end":        {quick, strings.Repeat(`{"dependencies":{"a":`, 600000), "body-malformed", 400},
		"a tree that is not one":    {quick, `{"dependencies":[]}`, "body-malformed", 400},
		"a dependency without name": {quick, `{"dependencies":{"":{"version":"1"}}}`, `"totalDependencies":1`, 200},
	} {
		t.Run(title, func(t *testing.T) {
			in.do(t, "", "POST", c.path, zipped(t, c.body), "Content-Encoding", "gzip").want(t, c.status, c.answer)
		})
	}
}
