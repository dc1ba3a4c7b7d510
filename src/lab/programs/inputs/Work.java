// Buffers on and off the heap, strings, and a compressor.
import java.io.*;
import java.nio.*;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.zip.*;

public class Work {
    public static void main(String[] words) throws Exception {
        byte[] text = Files.readAllBytes(Path.of(words[0]));
        ByteBuffer direct = ByteBuffer.allocateDirect(16 << 20);
        long sum = 0;
        for (int turn = 0; turn < 40; turn++) {
            direct.clear();
            direct.put(text, turn * 4096, 16 << 20);
            direct.flip();
            byte[] back = new byte[direct.remaining()];
            direct.get(back);
            sum += back[turn] + back[back.length - 1 - turn];
        }
        StringBuilder builder = new StringBuilder();
        Map<String, Integer> counts = new TreeMap<>();
        for (String line : new String(text, 0, 4 << 20, StandardCharsets.ISO_8859_1).split("\n")) {
            builder.append(line.substring(Math.min(line.length(), 9))).append(';');
            counts.merge(line.substring(Math.min(line.length(), 9), Math.min(line.length(), 14)), 1, Integer::sum);
        }
        CRC32 check = new CRC32();
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (DeflaterOutputStream out = new DeflaterOutputStream(packed, new Deflater(1))) {
            out.write(builder.toString().getBytes(StandardCharsets.ISO_8859_1));
        }
        check.update(new InflaterInputStream(new ByteArrayInputStream(packed.toByteArray())).readAllBytes());
        System.out.println(sum + " " + counts.size() + " " + check.getValue());
    }
}
