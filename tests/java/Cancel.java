import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Cancels orders with the JDK's client as it is: arguments are the address, the credential, and the orders. */
public class Cancel {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        for (var order : List.of(arguments).subList(2, arguments.length)) {
            var body = "{\"orderId\":" + order + "}";
            var request = HttpRequest.newBuilder(URI.create(arguments[0]))
                    .header("Authorization", arguments[1])
                    .header("X-API-VERSION", "7")
                    .header("Content-Type", "application/json");
            var known = BodyPublishers.ofString(body);
            var chunked = BodyPublishers.ofInputStream(
                    () -> new java.io.ByteArrayInputStream(body.getBytes(StandardCharsets.UTF_8)));
            for (var publisher : List.of(known, chunked)) {
                var answer = client.send(request.POST(publisher).build(), BodyHandlers.ofString());
                System.out.println(answer.statusCode() + " " + answer.version());
            }
        }
    }
}
