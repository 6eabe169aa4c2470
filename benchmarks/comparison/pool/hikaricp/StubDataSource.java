// SPDX-License-Identifier: Apache-2.0

import java.io.PrintWriter;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.SQLFeatureNotSupportedException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.logging.Logger;
import javax.sql.DataSource;

/** What the stub connections are made of: a connect that takes its time, and counts itself. */
final class StubDataSource implements DataSource {
  final AtomicLong begun = new AtomicLong();
  final AtomicLong opened = new AtomicLong();
  private final long connectMilliseconds;

  StubDataSource(long connectMilliseconds) {
    this.connectMilliseconds = connectMilliseconds;
  }

  public Connection getConnection() throws SQLException {
    begun.incrementAndGet();
    try {
      if (connectMilliseconds > 0) Thread.sleep(connectMilliseconds);
    } catch (InterruptedException e) {
      throw new SQLException(e);
    }
    opened.incrementAndGet();
    return new StubConnection();
  }

  public Connection getConnection(String user, String password) throws SQLException { return getConnection(); }
  public PrintWriter getLogWriter() { return null; }
  public void setLogWriter(PrintWriter writer) {}
  public int getLoginTimeout() { return 0; }
  public void setLoginTimeout(int seconds) {}
  public Logger getParentLogger() throws SQLFeatureNotSupportedException { throw new SQLFeatureNotSupportedException(); }
  public <T> T unwrap(Class<T> type) throws SQLException { throw new SQLFeatureNotSupportedException(); }
  public boolean isWrapperFor(Class<?> type) { return false; }
}
