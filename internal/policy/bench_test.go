package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// large is a request for three images of 400 components each, 40 of them published here.
func large() (Request, func(string) Record) {
	req, records := shop(), map[string]Record{}
	image := req.Images[0]
	req.Images = nil
	for i := range 3 {
		image.Digest = fmt.Sprintf("sha256:%064d", i)
		req.Images = append(req.Images, image)
		r := shopRecord()
		r.Contents.Components = nil
		for j := range 400 {
			c := Component{PURL: fmt.Sprintf("pkg:deb/debian/lib%d@1.%d", j, i), Grounds: "metadata"}
			if j%10 == 0 {
				c.Release, c.Published, c.Approval = true, Publication{Publisher: "ci-7", At: noon.Add(-100 * time.Hour)}, Approval{Approved: true, By: "bob"}
			}
			r.Contents.Components = append(r.Contents.Components, c)
		}
		records[image.Digest] = r
	}
	return req, func(digest string) Record { return records[digest] }
}

// BenchmarkDecide is the shipped set on three images; its p99 is what the admission gate promises to stay below
// 5 ms with.
func BenchmarkDecide(b *testing.B) {
	p, err := Compile(Shipped())
	if err != nil {
		b.Fatal(err)
	}
	req, records := large()
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if v := p.Decide(req, records, nil); !v.Allow {
			b.Fatal(v)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkCompileShipped(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(Shipped()); err != nil {
			b.Fatal(err)
		}
	}
}
