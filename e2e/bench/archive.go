package main

import (
	"archive/tar"
	"compress/gzip"
	"io"
)

// file is an entry of an archive.
type file struct {
	name string
	data []byte
}

// writeFiles writes the files as one gzip member of a tar. Only the last member of an archive is
// whole, with the end mark that stops a reader.
func writeFiles(to io.Writer, files []file, last bool) error {
	z, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if last {
		err = w.Close()
	} else {
		err = w.Flush()
	}
	if err != nil {
		return err
	}
	return z.Close()
}
