import com.google.protobuf.CodedInputStream;
import com.google.protobuf.CodedOutputStream;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * A grpc-java server of hauberk.test.v1.TestService: TestServer.java PORT [MAX-CONNECTION-AGE-MS]
 *
 * <p>It writes "listening PORT", and for each call that it executes and each that ends early a line with its id, which is
 * the value of call-id in its metadata. The metadata decides what it does:
 *
 * <ul>
 *   <li>fail: the first N executions end with UNAVAILABLE, without a header
 *   <li>fail-after-header: so does the first execution, with a header
 *   <li>pushback: the value of grpc-retry-pushback-ms of failures
 *   <li>delay-ms: the first execution answers after this time
 *   <li>break: each execution of a stream ends with UNAVAILABLE after N messages
 * </ul>
 *
 * <p>It answers a request with its text. Responses of a stream have an index, from the number in the request's text, or 0,
 * to the request's count.
 */
final class TestServer {
  private static final String SERVICE = "hauberk.test.v1.TestService";
  private static final ConcurrentHashMap<String, Integer> TIMES = new ConcurrentHashMap<>();
  private static final ScheduledExecutorService TIMER = Executors.newSingleThreadScheduledExecutor();

  public static void main(String[] args) throws Exception {
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
    if (args.length > 1) {
      builder.maxConnectionAge(Long.parseLong(args[1]), TimeUnit.MILLISECONDS);
      builder.maxConnectionAgeGrace(30, TimeUnit.SECONDS);
    }
    ServerServiceDefinition.Builder service = ServerServiceDefinition.builder(SERVICE);
    service.addMethod(method("Unary", MethodType.UNARY), TestServer::start);
    service.addMethod(method("ServerStream", MethodType.SERVER_STREAMING), TestServer::start);
    service.addMethod(method("ClientStream", MethodType.CLIENT_STREAMING), TestServer::start);
    service.addMethod(method("Bidi", MethodType.BIDI_STREAMING), TestServer::start);
    Server server = builder.addService(service.build()).build().start();
    say("listening " + server.getPort());
    server.awaitTermination();
  }

  private static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  /** Message is a request or a response. */
  private record Message(String text, int number) {}

  private static MethodDescriptor<Message, Message> method(String name, MethodType type) {
    return MethodDescriptor.<Message, Message>newBuilder()
        .setType(type)
        .setFullMethodName(MethodDescriptor.generateFullMethodName(SERVICE, name))
        .setRequestMarshaller(new Encoding())
        .setResponseMarshaller(new Encoding())
        .build();
  }

  /** Encoding is that of both messages: a text in field 1, and a number in field 2. */
  private static final class Encoding implements MethodDescriptor.Marshaller<Message> {
    @Override
    public InputStream stream(Message m) {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      try {
        CodedOutputStream out = CodedOutputStream.newInstance(bytes);
        out.writeString(1, m.text());
        out.writeInt32(2, m.number());
        out.flush();
      } catch (IOException e) {
        throw new IllegalStateException(e);
      }
      return new java.io.ByteArrayInputStream(bytes.toByteArray());
    }

    @Override
    public Message parse(InputStream stream) {
      String text = "";
      int number = 0;
      try {
        CodedInputStream in = CodedInputStream.newInstance(stream);
        for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
          switch (tag >>> 3) {
            case 1 -> text = in.readStringRequireUtf8();
            case 2 -> number = in.readInt32();
            default -> in.skipField(tag);
          }
        }
      } catch (IOException e) {
        throw Status.INTERNAL.withCause(e).asRuntimeException();
      }
      return new Message(text, number);
    }
  }

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  private static int number(Metadata md, String name) {
    String value = md.get(key(name));
    return value == null ? 0 : Integer.parseInt(value);
  }

  /** Begins a call. */
  private static ServerCall.Listener<Message> start(ServerCall<Message, Message> call, Metadata md) {
    String id = String.valueOf(md.get(key("call-id")));
    String previous = String.valueOf(md.get(key("grpc-previous-rpc-attempts")));
    int times = TIMES.merge(id, 1, Integer::sum);
    say("executed " + id + " " + times + " " + previous);
    call.request(1);
    if (times <= number(md, "fail") || times == 1 && md.containsKey(key("fail-after-header"))) {
      if (md.containsKey(key("fail-after-header"))) {
        call.sendHeaders(new Metadata());
      }
      Metadata trailer = new Metadata();
      String pushback = md.get(key("pushback"));
      if (pushback != null) {
        trailer.put(key("grpc-retry-pushback-ms"), pushback);
      }
      call.close(Status.UNAVAILABLE.withDescription("failed on request"), trailer);
      return new ServerCall.Listener<>() {};
    }
    int delay = times == 1 ? number(md, "delay-ms") : 0;
    int breaks = number(md, "break");
    MethodType type = call.getMethodDescriptor().getType();
    return new ServerCall.Listener<>() {
      private Message last = new Message("", 0);
      private int index;
      private boolean header;

      @Override
      public void onMessage(Message m) {
        last = m;
        if (type == MethodType.BIDI_STREAMING) {
          send(m.text());
        }
        call.request(1);
      }

      @Override
      public void onHalfClose() {
        if (delay == 0) {
          answer();
          return;
        }
        Context context = Context.current();
        TIMER.schedule(context.wrap(this::answer), delay, TimeUnit.MILLISECONDS);
      }

      private synchronized void answer() {
        if (call.isCancelled()) {
          return;
        }
        if (type == MethodType.SERVER_STREAMING) {
          index = last.text().isEmpty() ? 0 : Integer.parseInt(last.text());
          for (int sent = 0; index < last.number(); sent++) {
            if (breaks > 0 && sent == breaks) {
              call.close(Status.UNAVAILABLE.withDescription("broken on request"), new Metadata());
              return;
            }
            send(last.text());
          }
        } else if (type != MethodType.BIDI_STREAMING) {
          send(last.text());
        }
        call.close(Status.OK, new Metadata());
      }

      private synchronized void send(String text) {
        if (!header) {
          header = true;
          call.sendHeaders(new Metadata());
        }
        call.sendMessage(new Message(text, index++));
      }

      @Override
      public void onCancel() {
        say("cancelled " + id + " " + times);
      }
    };
  }
}
