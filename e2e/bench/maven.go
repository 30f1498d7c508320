package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// maven measures the download of artifacts against nginx, which sends the same files from a folder and asks nobody
// whether they may be had.
func (b *bench) maven(ctx context.Context) error {
	ours, err := b.startOurs(ctx, "maven")
	if err != nil {
		return err
	}
	defer ours.stop()
	err = b.tell(ctx, ours,
		[]string{"namespace", "claim", "maven", "com.bench", "--org", "bench", "--public"},
		[]string{"namespace", "prove", "maven", "com.bench", "--vouch"})
	if err != nil {
		return err
	}
	folder := filepath.Join(b.scratch, "nginx")
	files := []struct {
		name, path string
		size       int
	}{
		{"maven artifact, 5 MB", "maven/com/bench/large/1.0/large-1.0.bin", 5_000_000},
		{"maven artifact, 500 KB", "maven/com/bench/middle/1.0/middle-1.0.bin", 500_000},
		{"maven artifact, 20 KB", "maven/com/bench/small/1.0/small-1.0.bin", 20_000},
	}
	for _, f := range files {
		if err := b.mavenFixture(ctx, ours, folder, f.path, f.size); err != nil {
			return err
		}
	}
	peer, err := b.startNginx(ctx, folder)
	if err != nil {
		return err
	}
	defer peer.stop()
	for _, f := range files {
		rate := func(s *server) func(context.Context, int) (float64, error) {
			return func(ctx context.Context, _ int) (float64, error) {
				got, err := load{32, 5 * time.Second, nil}.run(ctx, s.url+"/"+f.path)
				return got.perSecond, err
			}
		}
		our, their, err := b.inTurn(ctx, rate(ours), rate(peer))
		if err != nil {
			return err
		}
		r := judge(f.name, "req/s", target{ratio: 0.7}, our, their)
		r.Note = fmt.Sprintf("%d bytes, wrk -t1 -c32, against nginx", f.size)
		b.report.add(r)
	}
	return nil
}

// mavenFixture puts the same random bytes into the repository and into the folder.
func (b *bench) mavenFixture(ctx context.Context, ours *server, folder, path string, size int) error {
	content := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(content)
	if err := ours.deploy(ctx, "/"+path, content); err != nil {
		return err
	}
	file := filepath.Join(folder, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

// startNginx starts nginx on a folder, with sendfile and without a log of requests.
func (b *bench) startNginx(ctx context.Context, folder string) (*server, error) {
	dir := filepath.Join(b.scratch, "nginx-run")
	address, err := writeConfig(dir, "")
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes auto; user root;
events { worker_connections 512; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type application/octet-stream;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server { listen %[2]s; root %[3]s; }
}
`, dir, address, folder)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	s, stdout, err := b.spawn(ctx, "nginx", nil, "nginx", "-c", file, "-e", filepath.Join(dir, "error.log"))
	if err != nil {
		return nil, err
	}
	drain(stdout)
	s.url = "http://" + address
	return s, s.await(ctx, s.url+"/")
}
