// Command gobinary is linked by the tests to have a Go executable with dependencies. It carries
// the magic of a build info record outside of the data segment, as debug/buildinfo does itself.
package main

import (
	"debug/buildinfo"
	"fmt"
	"os"

	"github.com/klauspost/compress/zstd"
)

func main() {
	info, err := buildinfo.ReadFile(os.Args[0])
	z, _ := zstd.NewReader(nil)
	fmt.Println(info, err, z)
}
