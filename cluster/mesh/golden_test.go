package mesh_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flamingo/cluster/mesh"
)

var update = flag.Bool("update", false, "write the golden frames of a version that has none yet")

// goldenFrames are a frame of each kind, by name, as this release writes it.
func goldenFrames() map[string][]byte {
	all := map[string][]byte{
		"hello":   mesh.HelloFor(theCluster, bootOf(1), bootOf(2), [2]uint64{1, 1}, 1, 3, 0, 9)[len(mesh.Magic):],
		"welcome": mesh.WelcomeTo(theCluster, bootOf(2))[len(mesh.Magic):],
	}
	layouts := mesh.Layouts()
	for _, f := range samples {
		all[layouts[int(f.Kind)][0]] = encoded(f)
	}
	return all
}

// again decodes a frame, header and all, and encodes what it says.
func again(name string, frame []byte) ([]byte, error) {
	switch name {
	case "hello":
		return mesh.Hello(frame[4:])
	case "welcome":
		return mesh.Welcome(frame[4:])
	}
	f, err := mesh.NewWireDecoder().Decode(frame[4:])
	if err != nil {
		return nil, err
	}
	return encoded(f), nil
}

// TestGoldenFramesAreReadAndWritten holds this release to the frames of every
// version that it speaks, as the releases before have written them.
func TestGoldenFramesAreReadAndWritten(t *testing.T) {
	for version := mesh.MinVersion; version <= mesh.MaxVersion; version++ {
		dir := filepath.Join("testdata", "golden", fmt.Sprintf("v%d", version))
		if *update {
			writeGolden(t, dir)
		}
		kept := readGolden(t, dir)
		for _, layout := range mesh.Layouts() {
			frame, ok := kept[layout[0]]
			if !ok {
				t.Errorf("%s has no frame %s: -update writes those that are missing", dir, layout[0])
				continue
			}
			got, err := again(layout[0], frame)
			if err != nil || !slices.Equal(got, frame) {
				t.Errorf("version %d, %s: %x is written as %x, %v", version, layout[0], frame, got, err)
			}
			short := slices.Clone(frame[:len(frame)-1])
			if _, err := again(layout[0], short); err == nil {
				t.Errorf("version %d, %s: cut short it is read as a frame", version, layout[0])
			}
			delete(kept, layout[0])
		}
		for name := range kept {
			t.Errorf("%s has a frame %s that this release does not know", dir, name)
		}
	}
}

func readGolden(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.hex"))
	if err != nil {
		t.Fatal(err)
	}
	frames := make(map[string][]byte)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(frame) < 5 {
			t.Fatalf("%s: %d bytes, %v", path, len(frame), err)
		}
		frames[strings.TrimSuffix(filepath.Base(path), ".hex")] = frame
	}
	return frames
}

// writeGolden never writes over what is kept.
func writeGolden(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, frame := range goldenFrames() {
		path := filepath.Join(dir, name+".hex")
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte(hex.EncodeToString(frame)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
