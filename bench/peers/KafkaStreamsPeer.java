// The decision job of workload.py in Kafka Streams: RocksDB store with changelog, two threads.
// Profiles are held in memory, read from a file: a favour to this peer, as its table would be a store too.
// java -cp "jars/*:." KafkaStreamsPeer BOOTSTRAP EVENTS OUTPUT THREADS PROFILES.ndjson STATE_DIR

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

public class KafkaStreamsPeer {
  static final long DAY_MS = 86_400_000L;
  static final long MINUTE_MS = 60_000L;
  static final ObjectMapper JSON = new ObjectMapper();
  static final Map<String, String[]> CHANNELS =
      Map.of(
          "order.shipped", new String[] {"push", "email"},
          "social.follow", new String[] {"push", "inapp"},
          "promo.offer", new String[] {"email", "push"});
  static final Map<String, String> CATEGORY =
      Map.of("order.shipped", "transactional", "social.follow", "social", "promo.offer", "marketing");
  static final Map<String, JsonNode> PREFERENCES = new HashMap<>();

  static class User {
    final Map<String, Long> seen = new HashMap<>();
    final List<Long> marketing = new ArrayList<>();
    long last = Long.MIN_VALUE / 2;

    static User read(byte[] stored) {
      User user = new User();
      if (stored == null) return user;
      ByteBuffer bytes = ByteBuffer.wrap(stored);
      user.last = bytes.getLong();
      for (int left = bytes.getInt(); left > 0; left--) user.marketing.add(bytes.getLong());
      for (int left = bytes.getInt(); left > 0; left--) {
        byte[] key = new byte[bytes.getShort()];
        bytes.get(key);
        user.seen.put(new String(key), bytes.getLong());
      }
      return user;
    }

    byte[] write() {
      int size = 16 + 8 * marketing.size();
      for (String key : seen.keySet()) size += 10 + key.length();
      ByteBuffer bytes = ByteBuffer.allocate(size);
      bytes.putLong(last).putInt(marketing.size());
      for (long at : marketing) bytes.putLong(at);
      bytes.putInt(seen.size());
      for (var entry : seen.entrySet()) {
        byte[] key = entry.getKey().getBytes();
        bytes.putShort((short) key.length).put(key).putLong(entry.getValue());
      }
      return bytes.array();
    }

    boolean hasRoom(String category, long now) {
      if (now - last < MINUTE_MS) return false;
      if (category.equals("marketing")) {
        marketing.removeIf(at -> now - at >= DAY_MS);
        if (marketing.size() >= 5) return false;
        marketing.add(now);
      }
      last = now;
      return true;
    }
  }

  static class Gate implements Processor<String, byte[], String, byte[]> {
    ProcessorContext<String, byte[]> context;
    KeyValueStore<String, byte[]> users;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      users = context.getStateStore("users");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      try {
        decide(record);
      } catch (IOException failure) {
        throw new UncheckedIOException(failure);
      }
    }

    void decide(Record<String, byte[]> record) throws IOException {
      JsonNode event = JSON.readTree(record.value());
      String name = event.get("subject").asText();
      long now = Instant.parse(event.get("time").asText()).toEpochMilli();
      String type = event.get("type").asText();
      User user = User.read(users.get(name));
      String identity = event.get("source").asText() + event.get("id").asText();
      Long seen = user.seen.get(identity);
      if (seen != null && now - seen < DAY_MS) return;
      user.seen.put(identity, now);
      List<String> channels = channels(PREFERENCES.get(name), type);
      String category = CATEGORY.get(type);
      boolean admitted =
          !channels.isEmpty() && (category.equals("transactional") || user.hasRoom(category, now));
      users.put(name, user.write());
      if (admitted) for (String channel : channels) send(record, event, name, channel);
    }

    static List<String> channels(JsonNode preferences, String type) {
      List<String> found = new ArrayList<>();
      if (!preferences.get("categories").get(CATEGORY.get(type)).asBoolean()) return found;
      for (String channel : CHANNELS.get(type)) {
        JsonNode on = preferences.get("channels").get(channel);
        if (on == null || on.asBoolean()) found.add(channel);
      }
      return found;
    }

    void send(Record<String, byte[]> record, JsonNode event, String user, String channel)
        throws IOException {
      ObjectNode message = JSON.createObjectNode();
      message.set("event", event.get("id"));
      message.put("user", user);
      message.put("channel", channel);
      message.set("data", event.get("data"));
      context.forward(record.withValue(JSON.writeValueAsBytes(message)));
    }
  }

  public static void main(String[] arguments) throws Exception {
    for (String line : Files.readAllLines(Path.of(arguments[4]))) {
      JsonNode profile = JSON.readTree(line);
      PREFERENCES.put(profile.get("user_id").asText(), profile.get("preferences"));
    }
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "kafka-streams-" + System.currentTimeMillis());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[3]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[5]);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    settings.put(ProducerConfig.LINGER_MS_CONFIG, "20");
    var store =
        Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore("users"), Serdes.String(), Serdes.ByteArray());
    Topology topology = new Topology();
    topology.addSource("in", new StringDeserializer(), new ByteArrayDeserializer(), arguments[1]);
    topology.addProcessor("gate", Gate::new, "in");
    topology.addStateStore(store.withLoggingEnabled(Map.of()), "gate");
    topology.addSink("out", arguments[2], new StringSerializer(), new ByteArraySerializer(), "gate");
    KafkaStreams streams = new KafkaStreams(topology, settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    new CountDownLatch(1).await();
  }
}
