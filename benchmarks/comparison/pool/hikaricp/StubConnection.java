// SPDX-License-Identifier: Apache-2.0

import java.sql.*;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Executor;

/** A connection to nothing: always valid, closed by nobody. What the pool does not ask for is refused. */
final class StubConnection implements Connection {
  private boolean autoCommit = true;
  private boolean readOnly;
  private int isolation = TRANSACTION_READ_COMMITTED;

  public boolean isValid(int timeout) { return true; }
  public void close() {}
  public boolean isClosed() { return false; }
  public void abort(Executor executor) {}
  public void clearWarnings() {}
  public SQLWarning getWarnings() { return null; }
  public void commit() {}
  public void rollback() {}
  public boolean getAutoCommit() { return autoCommit; }
  public void setAutoCommit(boolean value) { autoCommit = value; }
  public boolean isReadOnly() { return readOnly; }
  public void setReadOnly(boolean value) { readOnly = value; }
  public int getTransactionIsolation() { return isolation; }
  public void setTransactionIsolation(int value) { isolation = value; }
  public int getNetworkTimeout() { return 0; }
  public void setNetworkTimeout(Executor executor, int milliseconds) {}
  public String getCatalog() { return null; }
  public void setCatalog(String value) {}
  public String getSchema() { return null; }
  public void setSchema(String value) {}
  public int getHoldability() { return 0; }
  public void setHoldability(int value) {}

  private static SQLFeatureNotSupportedException no() { return new SQLFeatureNotSupportedException(); }

  public Statement createStatement() throws SQLException { throw no(); }
  public Statement createStatement(int type, int concurrency) throws SQLException { throw no(); }
  public Statement createStatement(int type, int concurrency, int holdability) throws SQLException { throw no(); }
  public PreparedStatement prepareStatement(String sql) throws SQLException { throw no(); }
  public PreparedStatement prepareStatement(String sql, int keys) throws SQLException { throw no(); }
  public PreparedStatement prepareStatement(String sql, int[] columns) throws SQLException { throw no(); }
  public PreparedStatement prepareStatement(String sql, String[] columns) throws SQLException { throw no(); }
  public PreparedStatement prepareStatement(String sql, int type, int concurrency) throws SQLException { throw no(); }
  public PreparedStatement prepareStatement(String sql, int type, int concurrency, int holdability) throws SQLException { throw no(); }
  public CallableStatement prepareCall(String sql) throws SQLException { throw no(); }
  public CallableStatement prepareCall(String sql, int type, int concurrency) throws SQLException { throw no(); }
  public CallableStatement prepareCall(String sql, int type, int concurrency, int holdability) throws SQLException { throw no(); }
  public String nativeSQL(String sql) throws SQLException { throw no(); }
  public DatabaseMetaData getMetaData() throws SQLException { throw no(); }
  public Map<String, Class<?>> getTypeMap() throws SQLException { throw no(); }
  public void setTypeMap(Map<String, Class<?>> map) throws SQLException { throw no(); }
  public Savepoint setSavepoint() throws SQLException { throw no(); }
  public Savepoint setSavepoint(String name) throws SQLException { throw no(); }
  public void rollback(Savepoint savepoint) throws SQLException { throw no(); }
  public void releaseSavepoint(Savepoint savepoint) throws SQLException { throw no(); }
  public Clob createClob() throws SQLException { throw no(); }
  public Blob createBlob() throws SQLException { throw no(); }
  public NClob createNClob() throws SQLException { throw no(); }
  public SQLXML createSQLXML() throws SQLException { throw no(); }
  public Array createArrayOf(String type, Object[] elements) throws SQLException { throw no(); }
  public Struct createStruct(String type, Object[] attributes) throws SQLException { throw no(); }
  public void setClientInfo(String name, String value) {}
  public void setClientInfo(Properties properties) {}
  public String getClientInfo(String name) { return null; }
  public Properties getClientInfo() { return new Properties(); }
  public <T> T unwrap(Class<T> type) throws SQLException { throw no(); }
  public boolean isWrapperFor(Class<?> type) { return false; }
}
