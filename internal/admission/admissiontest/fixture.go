package admissiontest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/policy"
)

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Digest is a digest that a name stands for.
func Digest(name string) string { return "sha256:" + digestOf(name) }

// Record is the record of an image that alice published two days before at, with one component of bob's.
func Record(name string, at time.Time, components int) policy.Record {
	published := policy.Publication{Publisher: "alice", Credential: "token:tok_1", Method: "token", At: at.Add(-48 * time.Hour), Seq: 7}
	r := policy.Record{
		Digest: Digest(name), Known: true, Head: 10, References: []string{name}, Publication: published,
		Approval: policy.Approval{Approved: true, By: "carol", At: at.Add(-47 * time.Hour), Seq: 8},
		Contents: policy.Contents{Complete: true, Platform: "linux/amd64", Layers: []string{Digest(name + "/0"), Digest(name + "/1")}},
	}
	for i := range components {
		c := policy.Component{
			PURL: fmt.Sprintf("pkg:deb/debian/package-%d@1.%d", i, i), Layer: 0, Path: fmt.Sprintf("var/lib/dpkg/info/package-%d.list", i), Grounds: "metadata",
		}
		if i == 0 {
			c = policy.Component{
				PURL: "pkg:npm/%40acme/ui-kit@4.2.1", Layer: 1, Path: "app/node_modules/@acme/ui-kit/package.json", Grounds: "both", Release: true,
				Artifact:  Digest("ui-kit 4.2.1"),
				Published: policy.Publication{Publisher: "bob", Credential: "token:ci-7", Method: "token", At: at.Add(-72 * time.Hour), Seq: 3},
				Approval:  policy.Approval{Approved: true, By: "carol", At: at.Add(-71 * time.Hour), Seq: 4},
			}
		}
		r.Contents.Components = append(r.Contents.Components, c)
	}
	return r
}
